variable "image" {
  description = "Image of the app, e.g. quay.io/example/app:1"
  default     = "quay.io/example/app:1.9"
}
locals {
  images = {
    proxy = "envoyproxy/envoy:v1.31.2"
    agent = "quay.io/example/agent:2"
  }
}
module "app" {
  source = "git::https://github.com/example/modules.git//app?ref=v1.0"
  image  = var.image
}
resource "google_cloud_run_v2_service" "web" {
  template {
    containers {
      image = var.debug ? "gcr.io/example/web:debug" : "gcr.io/example/web:1.2"
    }
  }
}
resource "nomad_job" "j" {
  for_each = toset(["a", "b"])
  jobspec  = templatefile("${path.module}/job.hcl", { image = "ghcr.io/example/job:${each.key}" })
}
