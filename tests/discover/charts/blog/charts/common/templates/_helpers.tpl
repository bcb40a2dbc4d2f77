{{- define "common.names.fullname" -}}
{{ .Release.Name }}-{{ .Chart.Name }}
{{- end -}}
{{- define "common.images.image" -}}
{{- $registry := default .imageRoot.registry ((.global).imageRegistry) -}}
{{- if .imageRoot.digest -}}
{{ $registry }}/{{ .imageRoot.repository }}@{{ .imageRoot.digest }}
{{- else -}}
{{ $registry }}/{{ .imageRoot.repository }}:{{ .imageRoot.tag }}
{{- end -}}
{{- end -}}
