/* image = "quay.io/example/commented:1" */
resource "azurerm_container_group" "g" {
  container {
    image  = "mcr.microsoft.com/azuredocs/aci-helloworld:latest"
    cpu    = "0.5"
    # image = "quay.io/example/old:1"
  }
  dynamic "init_container" {
    for_each = var.inits
    content { image = init_container.value }
  }
}
resource "aws_lambda_function" "f" {
  image_uri    = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/f:7"
  package_type = "Image"
}
resource "kubernetes_manifest" "m" {
  manifest = yamldecode(<<EOT
apiVersion: v1
kind: Pod
spec:
  containers:
    - image: docker.io/library/busybox:1.37
EOT
  )
}
