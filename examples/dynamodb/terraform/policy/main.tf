# What the server may do with its table: the operations that it sends, and no more. docs/dynamodb.md says when each is sent, and which
# can be left out. The role is one for IRSA, for the service account of ../../eks; an instance or a user takes the same policy.

terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

variable "table_arn" {
  type = string
}

variable "oidc_provider" {
  description = "The cluster's identity provider without https://, as in oidc.eks.eu-central-1.amazonaws.com/id/EXAMPLE"
  type        = string
}

variable "service_account" {
  description = "The namespace and the name of the service account"
  type        = string
  default     = "coffer:coffer"
}

variable "may_create" {
  description = "Whether the server may make the table. Not needed for a table of Terraform's."
  type        = bool
  default     = false
}

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}

data "aws_iam_policy_document" "table" {
  statement {
    sid       = "Data"
    resources = [var.table_arn]
    actions = [
      "dynamodb:DescribeTable",
      "dynamodb:GetItem",
      "dynamodb:Query",
      "dynamodb:PutItem",
      "dynamodb:DeleteItem",
      "dynamodb:BatchGetItem",
      "dynamodb:BatchWriteItem",
    ]
  }

  # ha_enabled. TransactWriteItems, with fencing = "strict", is covered by the actions of its parts.
  statement {
    sid       = "HighAvailability"
    resources = [var.table_arn]
    actions   = ["dynamodb:UpdateItem", "dynamodb:ConditionCheckItem"]
  }

  # Export and migration alone.
  statement {
    sid       = "Export"
    resources = [var.table_arn]
    actions   = ["dynamodb:Scan"]
  }

  dynamic "statement" {
    for_each = var.may_create ? [1] : []
    content {
      sid       = "Create"
      resources = [var.table_arn]
      actions   = ["dynamodb:CreateTable", "dynamodb:TagResource", "dynamodb:UpdateContinuousBackups"]
    }
  }
}

data "aws_iam_policy_document" "trust" {
  statement {
    actions = ["sts:AssumeRoleWithWebIdentity"]

    principals {
      type        = "Federated"
      identifiers = ["arn:${data.aws_partition.current.partition}:iam::${data.aws_caller_identity.current.account_id}:oidc-provider/${var.oidc_provider}"]
    }

    condition {
      test     = "StringEquals"
      variable = "${var.oidc_provider}:sub"
      values   = ["system:serviceaccount:${var.service_account}"]
    }

    condition {
      test     = "StringEquals"
      variable = "${var.oidc_provider}:aud"
      values   = ["sts.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "coffer" {
  name               = "coffer"
  assume_role_policy = data.aws_iam_policy_document.trust.json
}

resource "aws_iam_role_policy" "table" {
  name   = "table"
  role   = aws_iam_role.coffer.id
  policy = data.aws_iam_policy_document.table.json
}

output "role_arn" {
  value = aws_iam_role.coffer.arn
}
