{{/* Exit code 75 means that work is left: no rule matches it, so another pod goes on. */}}
{{- define "imgsync.jobSpec" -}}
{{- $isIndexed := and (eq .Values.mode "job") (eq .Values.job.step "shards") -}}
activeDeadlineSeconds: {{ int64 .Values.run.activeDeadlineSeconds }}
{{- if not (kindIs "invalid" .Values.run.ttlSecondsAfterFinished) }}
ttlSecondsAfterFinished: {{ int64 .Values.run.ttlSecondsAfterFinished }}
{{- end }}
{{- if $isIndexed }}
completionMode: Indexed
completions: {{ .Values.job.shards }}
parallelism: {{ .Values.job.shards }}
backoffLimitPerIndex: {{ .Values.run.backoffLimit }}
{{- else }}
backoffLimit: {{ .Values.run.backoffLimit }}
{{- end }}
podFailurePolicy:
  rules:
    # A drained node is no failure.
    - action: Ignore
      onPodConditions: [{type: DisruptionTarget, status: "True"}]
    # Another run would not help.
    - action: {{ ternary "FailIndex" "FailJob" $isIndexed }}
      onExitCodes: {operator: In, values: [1, 3, 70]}
{{- end -}}
