{{/* The arguments of imgsync, one a line, as a YAML list. */}}
{{- define "imgsync.args" -}}
{{- $grace := printf "%ds" (int .Values.graceSeconds) -}}
{{- $args := list -}}
{{- if eq .Values.mode "serve" -}}
{{- $args = list "serve" "--listen" (include "imgsync.listen" (list .Values.serve.address .Values.serve.port)) "--every" .Values.serve.every "--grace" $grace -}}
{{- if .Values.serve.eventsPort -}}
{{- $args = concat $args (list "--listen-events" (include "imgsync.listen" (list .Values.serve.address .Values.serve.eventsPort))) -}}
{{- end -}}
{{- if .Values.serve.onlyPlan -}}
{{- $args = append $args "--only-plan" -}}
{{- end -}}
{{- if .Values.lease.enabled -}}
{{- $args = concat $args (list "--lease" "kubernetes" "--lease-name" (include "imgsync.fullname" .)) -}}
{{- end -}}
{{- with .Values.mirrors.git -}}
{{- if .url -}}
{{- $args = concat $args (list "--git" .url "--git-ref" .ref "--git-path" .path "--git-interval" .interval) -}}
{{- end -}}
{{- end -}}
{{- else if eq .Values.mode "worker" -}}
{{- $args = list "worker" "--broker" .Values.worker.broker "--queue" .Values.worker.queue "--grace" $grace -}}
{{- else if or (eq .Values.mode "cronjob") (eq .Values.job.step "apply") -}}
{{- $args = list "apply" "--yes" "--run-timeout" .Values.run.timeout "--grace" $grace -}}
{{- else if eq .Values.job.step "plan" -}}
{{- $args = list "plan" "--out" "/shards/plan.json" "--run-timeout" .Values.run.timeout -}}
{{- else if eq .Values.job.step "shards" -}}
{{- $args = list "apply" "--plan" "/shards/plan.json" "--shard" "auto" "--outcome" "/shards/out-$(INDEX).json" "--run-timeout" .Values.run.timeout "--grace" $grace -}}
{{- else -}}
{{- $args = list "combine" "--plan" "/shards/plan.json" -}}
{{- range until (int .Values.job.shards) -}}
{{- $args = append $args (printf "/shards/out-%d.json" .) -}}
{{- end -}}
{{- end -}}
{{- toYaml (concat $args .Values.extraArgs) -}}
{{- end -}}

{{- define "imgsync.listen" -}}
{{- $address := first . -}}
{{- printf (ternary "[%s]:%d" "%s:%d" (contains ":" $address)) $address (int (last .)) -}}
{{- end -}}

{{/* Variables that are options of imgsync. */}}
{{- define "imgsync.env" -}}
- {name: HOME, value: /tmp}
- {name: IMGSYNC_LOG_FORMAT, value: {{ .Values.log.format }}}
- {name: IMGSYNC_LOG_LEVEL, value: {{ .Values.log.level }}}
{{- if include "imgsync.hasRegistries" . }}
- {name: IMGSYNC_REGISTRIES, value: /registries/registries.yaml}
{{- end }}
{{- if and .Values.state.registry (ne .Values.mode "worker") }}
- {name: IMGSYNC_STATE, value: {{ .Values.state.registry | quote }}}
{{- end }}
{{- if include "imgsync.hasLease" . }}
- {name: POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
{{- end }}
{{- if and (eq .Values.mode "job") (eq .Values.job.step "shards") }}
- name: INDEX
  valueFrom: {fieldRef: {fieldPath: "metadata.annotations['batch.kubernetes.io/job-completion-index']"}}
- {name: IMGSYNC_SHARDS, value: {{ .Values.job.shards | quote }}}
{{- end }}
{{- with .Values.env }}
{{ toYaml . }}
{{- end }}
{{- end -}}
