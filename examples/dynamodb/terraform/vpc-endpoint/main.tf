# DynamoDB by a gateway endpoint: requests stay in AWS's network, need no internet gateway and no NAT, and the endpoint itself costs
# nothing. The server needs no setting for it: the region's usual address is routed to the endpoint.
#
# It does not reach the token service. With IRSA, in a network without a way out, that needs an interface endpoint as well (at the end).

terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.50"
    }
  }
}

variable "vpc_id" {
  type = string
}

variable "route_table_ids" {
  description = "The route tables of the subnets in which servers run"
  type        = list(string)
}

variable "table_arn" {
  type = string
}

variable "role_arn" {
  description = "The role under which the servers run"
  type        = string
}

data "aws_region" "current" {}

resource "aws_vpc_endpoint" "dynamodb" {
  vpc_id            = var.vpc_id
  service_name      = "com.amazonaws.${data.aws_region.current.name}.dynamodb"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = var.route_table_ids
  policy            = data.aws_iam_policy_document.endpoint.json

  tags = {
    Name = "dynamodb"
  }
}

# Through the endpoint, this table alone. Others in the same network that use DynamoDB need their tables here too.
data "aws_iam_policy_document" "endpoint" {
  statement {
    actions   = ["dynamodb:*"]
    resources = [var.table_arn]

    principals {
      type        = "AWS"
      identifiers = ["*"]
    }
  }
}

# And to the table, through the endpoint alone: keys that leak are of no use outside this network. It binds only who acts as the servers'
# role, so that administration, backups and Terraform go on from where they are.
resource "aws_dynamodb_resource_policy" "coffer" {
  resource_arn = var.table_arn
  policy       = data.aws_iam_policy_document.table.json
}

data "aws_iam_policy_document" "table" {
  statement {
    sid       = "ServersThroughTheEndpointAlone"
    effect    = "Deny"
    actions   = ["dynamodb:*"]
    resources = [var.table_arn]

    principals {
      type        = "AWS"
      identifiers = [var.role_arn]
    }

    condition {
      test     = "StringNotEquals"
      variable = "aws:SourceVpce"
      values   = [aws_vpc_endpoint.dynamodb.id]
    }
  }
}

# The token service, for IRSA without a way out of the network. The server asks the region's own, which is the one that this endpoint answers.
#
# resource "aws_vpc_endpoint" "sts" {
#   vpc_id              = var.vpc_id
#   service_name        = "com.amazonaws.${data.aws_region.current.name}.sts"
#   vpc_endpoint_type   = "Interface"
#   private_dns_enabled = true
#   subnet_ids          = var.subnet_ids
#   security_group_ids  = var.security_group_ids
# }
