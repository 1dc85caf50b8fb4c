# On-demand backups of the table, beside its point-in-time recovery. The two cover different losses:
#
# - Point-in-time recovery gives back any second of the last 35 days. After a deleted table DynamoDB keeps one last backup of it for
#   35 days, of the moment of the deletion, and no more.
# - A backup of AWS Backup is kept as long as the plan says, outlives the table, and in a vault of its own can be out of reach of those who
#   may delete the table.
#
# Entries are encrypted by the server: whoever reads a backup reads names, sizes and times. To open one takes the unseal keys of its time.

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

resource "aws_backup_vault" "coffer" {
  name = "coffer"
}

# Nobody deletes a backup before its time, not even an administrator. Within three days of its making this can still be undone.
resource "aws_backup_vault_lock_configuration" "coffer" {
  backup_vault_name   = aws_backup_vault.coffer.name
  min_retention_days  = 30
  changeable_for_days = 3
}

resource "aws_backup_plan" "coffer" {
  name = "coffer"

  rule {
    rule_name         = "daily"
    target_vault_name = aws_backup_vault.coffer.name
    schedule          = "cron(0 3 * * ? *)"

    lifecycle {
      delete_after = 90
    }
  }
}

resource "aws_backup_selection" "coffer" {
  name         = "coffer"
  plan_id      = aws_backup_plan.coffer.id
  iam_role_arn = aws_iam_role.backup.arn
  resources    = [var.table_arn]
}

data "aws_iam_policy_document" "backup_trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["backup.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "backup" {
  name               = "coffer-backup"
  assume_role_policy = data.aws_iam_policy_document.backup_trust.json
}

resource "aws_iam_role_policy_attachment" "backup" {
  for_each   = toset(["AWSBackupServiceRolePolicyForBackup", "AWSBackupServiceRolePolicyForRestores"])
  role       = aws_iam_role.backup.name
  policy_arn = "arn:aws:iam::aws:policy/service-role/${each.key}"
}
