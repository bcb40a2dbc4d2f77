{{- define "dashboards.pod" -}}
initContainers:
  {{- if .Values.initChownData.enabled }}
  - name: init-chown-data
    {{- with .Values.initChownData.image }}
    image: "{{ .registry }}/{{ .repository }}:{{ .tag }}"
    {{- end }}
    command: [chown, -R, "472:472", /var/lib/dashboards]
  {{- end }}
  - name: download-dashboards
    {{- with .Values.downloadDashboardsImage }}
    image: "{{ .registry }}/{{ .repository }}:{{ .tag }}"
    {{- end }}
containers:
  {{- range $kind := list "dashboards" "datasources" }}
  - name: sc-{{ $kind }}
    {{- with $.Values.sidecar.image }}
    image: "{{ .registry }}/{{ .repository }}:{{ .tag }}"
    {{- end }}
    env:
      - {name: METHOD, value: WATCH}
      - {name: REQ_URL, value: "http://localhost:3000/api/admin/provisioning/{{ $kind }}/reload"}
  {{- end }}
  - name: dashboards
    {{- with .Values.image }}
    image: "{{ .registry }}/{{ .repository }}:{{ default $.Chart.AppVersion .tag }}"
    {{- end }}
    env:
      - {name: ADMIN_PASSWORD, value: {{ required "set adminPassword" .Values.adminPassword | quote }}}
{{- end -}}
