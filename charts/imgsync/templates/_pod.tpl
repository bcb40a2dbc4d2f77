{{/* metadata and spec of the pod, for every mode. */}}
{{- define "imgsync.pod" -}}
{{- include "imgsync.check" . -}}
{{- $isService := has .Values.mode (list "serve" "worker") -}}
metadata:
  labels:
    {{- include "imgsync.labels" . | nindent 4 }}
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with .Values.podAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  serviceAccountName: {{ include "imgsync.serviceAccountName" . }}
  automountServiceAccountToken: {{ include "imgsync.hasLease" . | eq "true" }}
  # Variables for each Service of the namespace could be read as options of imgsync.
  enableServiceLinks: false
  {{- if not $isService }}
  restartPolicy: Never
  {{- end }}
  terminationGracePeriodSeconds: {{ add (int .Values.graceSeconds) 15 }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    seccompProfile: {type: RuntimeDefault}
    # Otherwise each start makes the state group-writable, and imgsync refuses to use it.
    fsGroupChangePolicy: OnRootMismatch
    {{- range $name, $value := .Values.podSecurityContext }}
    {{- if not (kindIs "invalid" $value) }}
    {{ $name }}: {{ int64 $value }}
    {{- end }}
    {{- end }}
  containers:
    - name: imgsync
      image: {{ include "imgsync.image" . | quote }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args:
        {{- include "imgsync.args" . | nindent 8 }}
      env:
        {{- include "imgsync.env" . | nindent 8 }}
      {{- with .Values.envFrom }}
      envFrom:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- if eq .Values.mode "serve" }}
      ports:
        - {name: http, containerPort: {{ .Values.serve.port }}, protocol: TCP}
        {{- if .Values.serve.eventsPort }}
        - {name: events, containerPort: {{ .Values.serve.eventsPort }}, protocol: TCP}
        {{- end }}
      startupProbe:
        httpGet: {path: /healthz, port: http}
        periodSeconds: 2
        failureThreshold: 60
      livenessProbe:
        httpGet: {path: /healthz, port: http}
        periodSeconds: 20
        timeoutSeconds: 10
        failureThreshold: 3
      readinessProbe:
        httpGet: {path: /readyz, port: http}
        periodSeconds: 5
        timeoutSeconds: 5
      {{- end }}
      resources:
        {{- toYaml .Values.resources | nindent 8 }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities: {drop: [ALL]}
      volumeMounts:
        {{- include "imgsync.volumeMounts" . | nindent 8 }}
  volumes:
    {{- include "imgsync.volumes" . | nindent 4 }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if .Values.topologySpreadConstraints }}
  topologySpreadConstraints:
    {{- toYaml .Values.topologySpreadConstraints | nindent 4 }}
  {{- else if or (eq .Values.mode "worker") (include "imgsync.hasLease" .) }}
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "imgsync.selectorLabels" . | nindent 10 }}
  {{- end }}
{{- end -}}
