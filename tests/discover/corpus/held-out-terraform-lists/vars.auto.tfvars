app_image   = "ghcr.io/example/app:4.2"
environment = "prod"
sidecar_images = ["quay.io/example/a:1", "quay.io/example/b:2"]
