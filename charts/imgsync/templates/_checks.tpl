{{/* Values that do not fit together. The schema checks each value alone. */}}
{{- define "imgsync.check" -}}
{{- $sources := 0 -}}
{{- range list .Values.mirrors.files .Values.mirrors.existingConfigMap .Values.mirrors.git.url -}}
{{- if . -}}{{- $sources = add1 $sources -}}{{- end -}}
{{- end -}}
{{- if ne (int $sources) 1 -}}
{{- fail "set one of mirrors.files, mirrors.existingConfigMap and mirrors.git.url" -}}
{{- end -}}
{{- if and .Values.mirrors.git.url (ne .Values.mode "serve") -}}
{{- fail "mirrors.git is only for the mode serve; set mirrors.files or mirrors.existingConfigMap" -}}
{{- end -}}
{{- if and .Values.registries.config .Values.registries.existingSecret.name -}}
{{- fail "set one of registries.config and registries.existingSecret.name" -}}
{{- end -}}
{{- include "imgsync.checkSecrets" (dict "path" "registries.config" "value" .Values.registries.config) -}}
{{- if eq .Values.mode "serve" -}}
{{- if and (gt (int .Values.serve.replicas) 1) (not .Values.lease.enabled) -}}
{{- fail "serve.replicas is more than 1: set lease.enabled, so that only one of them writes" -}}
{{- end -}}
{{- if and (gt (int .Values.serve.replicas) 1) (not .Values.state.registry) -}}
{{- fail "serve.replicas is more than 1: set state.registry, so that all of them have the same state" -}}
{{- end -}}
{{- if eq (int .Values.serve.port) (int .Values.serve.eventsPort) -}}
{{- fail "serve.port and serve.eventsPort are the same" -}}
{{- end -}}
{{- end -}}
{{- if and (eq .Values.mode "job") (ne .Values.job.step "apply") (not .Values.job.shardsClaim) -}}
{{- fail (printf "job.step %s needs job.shardsClaim: a claim that all pods can mount" .Values.job.step) -}}
{{- end -}}
{{- if and (eq .Values.mode "job") (ne .Values.job.step "apply") (not .Values.state.registry) -}}
{{- fail (printf "job.step %s needs state.registry, so that all pods have the same state" .Values.job.step) -}}
{{- end -}}
{{- end -}}

{{/* Registry settings in values would be readable in a ConfigMap and in the release. */}}
{{- define "imgsync.checkSecrets" -}}
{{- $path := .path -}}
{{- if kindIs "map" .value -}}
{{- range $name, $value := .value -}}
{{- if and (has $name (list "password" "token" "secret" "key")) (kindIs "string" $value) (not (regexMatch "^(\\$\\{[A-Za-z_][A-Za-z0-9_]*\\}|/.*)$" $value)) -}}
{{- fail (printf "%s.%s is a secret: write ${VARIABLE} or {file: …}, or use registries.existingSecret" $path $name) -}}
{{- end -}}
{{- include "imgsync.checkSecrets" (dict "path" (printf "%s.%s" $path $name) "value" $value) -}}
{{- end -}}
{{- else if kindIs "slice" .value -}}
{{- range .value -}}
{{- include "imgsync.checkSecrets" (dict "path" $path "value" .) -}}
{{- end -}}
{{- else if and (kindIs "string" .value) (regexMatch "//[^/@]*:[^/@]*@" .value) -}}
{{- fail (printf "%s has a login in its URL: write it as credentials, with ${VARIABLE} or {file: …}" $path) -}}
{{- end -}}
{{- end -}}
