{{/* Names and labels. */}}
{{- define "imgsync.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* 52 characters: a CronJob's name may not be longer. No dots: a Service's name and a Lease's have none. */}}
{{- define "imgsync.fullname" -}}
{{- .Values.fullnameOverride | default .Release.Name | replace "." "-" | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- define "imgsync.selectorLabels" -}}
app.kubernetes.io/name: {{ include "imgsync.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "imgsync.labels" -}}
{{ include "imgsync.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/component: {{ .Values.mode }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "imgsync.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (ternary (include "imgsync.fullname" .) "default" .Values.serviceAccount.create) -}}
{{- end -}}

{{- define "imgsync.image" -}}
{{- $repository := required "image.repository is missing: the image that you built from the Dockerfile and pushed" .Values.image.repository -}}
{{- if .Values.image.digest -}}
{{ $repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ $repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- define "imgsync.mirrorsConfigMap" -}}
{{- .Values.mirrors.existingConfigMap | default (printf "%s-mirrors" (include "imgsync.fullname" .)) -}}
{{- end -}}

{{- define "imgsync.claim" -}}
{{- .Values.state.persistence.existingClaim | default (printf "%s-state" (include "imgsync.fullname" .)) -}}
{{- end -}}

{{/* The state is in a volume. */}}
{{- define "imgsync.usesClaim" -}}
{{- if and .Values.state.persistence.enabled (not .Values.state.registry) (ne .Values.mode "worker") -}}true{{- end -}}
{{- end -}}

{{- define "imgsync.hasLease" -}}
{{- if and .Values.lease.enabled (eq .Values.mode "serve") -}}true{{- end -}}
{{- end -}}

{{- define "imgsync.hasRegistries" -}}
{{- if or .Values.registries.config .Values.registries.existingSecret.name -}}true{{- end -}}
{{- end -}}
