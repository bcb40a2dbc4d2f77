{{- define "imgsync.volumeMounts" -}}
- {name: tmp, mountPath: /tmp}
{{- if ne .Values.mode "worker" }}
- {name: state, mountPath: /mirrors/.imgsync}
{{- end }}
{{- if not .Values.mirrors.git.url }}
- {name: mirrors, mountPath: /mirrors/mirrors.d, readOnly: true}
{{- end }}
{{- if include "imgsync.hasRegistries" . }}
- {name: registries, mountPath: /registries, readOnly: true}
{{- end }}
{{- range $index, $mount := .Values.secretMounts }}
- {name: secret-{{ $index }}, mountPath: {{ $mount.mountPath | quote }}, readOnly: true}
{{- end }}
{{- if .Values.secretProviderClass.enabled }}
- {name: secrets-store, mountPath: {{ .Values.secretProviderClass.mountPath | quote }}, readOnly: true}
{{- end }}
{{- if and (eq .Values.mode "job") (ne .Values.job.step "apply") }}
- {name: shards, mountPath: /shards}
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "imgsync.volumes" -}}
- name: tmp
  emptyDir: {sizeLimit: {{ .Values.tmpSizeLimit }}}
{{- if include "imgsync.usesClaim" . }}
- name: state
  persistentVolumeClaim: {claimName: {{ include "imgsync.claim" . }}}
{{- else if ne .Values.mode "worker" }}
- name: state
  emptyDir: {sizeLimit: {{ .Values.state.emptyDirSizeLimit }}}
{{- end }}
{{- if not .Values.mirrors.git.url }}
- name: mirrors
  configMap: {name: {{ include "imgsync.mirrorsConfigMap" . }}}
{{- end }}
{{- with .Values.registries.existingSecret }}
{{- if .name }}
- name: registries
  secret:
    secretName: {{ .name }}
    defaultMode: 0440
    items: [{key: {{ .key | quote }}, path: registries.yaml}]
{{- end }}
{{- end }}
{{- if .Values.registries.config }}
- name: registries
  configMap: {name: {{ include "imgsync.fullname" . }}-registries}
{{- end }}
{{- range $index, $mount := .Values.secretMounts }}
- name: secret-{{ $index }}
  secret:
    secretName: {{ $mount.secretName }}
    defaultMode: 0440
    {{- with $mount.items }}
    items:
      {{- toYaml . | nindent 6 }}
    {{- end }}
{{- end }}
{{- if .Values.secretProviderClass.enabled }}
- name: secrets-store
  csi:
    driver: secrets-store.csi.k8s.io
    readOnly: true
    volumeAttributes: {secretProviderClass: {{ include "imgsync.fullname" . }}}
{{- end }}
{{- if and (eq .Values.mode "job") (ne .Values.job.step "apply") }}
- name: shards
  persistentVolumeClaim: {claimName: {{ .Values.job.shardsClaim }}}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}
