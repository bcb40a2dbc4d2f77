terraform {
  required_providers { docker = { source = "kreuzwerker/docker", version = "3.0.2" } }
}
variable "tag" {
  type    = string
  default = "2.1.0"
}
variable "registry" {}
locals {
  base = "ghcr.io/example"
}
resource "kubernetes_deployment_v1" "web" {
  spec {
    template {
      spec {
        container {
          name  = "web"
          image = "${local.base}/web:${var.tag}"
          args  = ["--helper-image=quay.io/example/helper:1"]
        }
        init_container {
          image = "busybox:1.37" # pinned
        }
        container {
          image = "${var.registry}/api:1"
        }
      }
    }
  }
}
resource "docker_image" "redis" {
  name = "redis:7.4"
}
resource "aws_ecs_task_definition" "app" {
  family = "app"
  container_definitions = jsonencode([
    {
      name  = "app"
      image = "public.ecr.aws/nginx/nginx:1.27"
      portMappings = [{ containerPort = 80 }]
    }
  ])
}
resource "helm_release" "podinfo" {
  repository = "oci://ghcr.io/stefanprodan/charts"
  chart      = "podinfo"
  version    = "6.7.1"
  values = [<<-YAML
    image:
      repository: ghcr.io/stefanprodan/podinfo
      tag: 6.7.1
  YAML
  ]
}
resource "google_compute_instance" "vm" {
  boot_disk { initialize_params { image = "debian-cloud/debian-12" } }
}
resource "aws_instance" "vm" {
  ami = "ami-0123456789abcdef0"
}
resource "hcloud_server" "vm" {
  image = "ubuntu-24.04"
}
