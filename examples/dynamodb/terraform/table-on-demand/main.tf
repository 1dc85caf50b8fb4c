# The table, billed by request: nothing to size, and at rest it costs its storage alone. The right choice for most servers; a steady load
# that is known is cheaper provisioned (../table-provisioned).
#
# The server finds the table and changes nothing of it: read_capacity, billing_mode and their kin in its configuration then have no effect.

terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

variable "table" {
  type    = string
  default = "coffer-data"
}

resource "aws_dynamodb_table" "coffer" {
  name         = var.table
  billing_mode = "PAY_PER_REQUEST"

  # Vault's schema. Another one is refused at start.
  hash_key  = "Path"
  range_key = "Key"

  attribute {
    name = "Path"
    type = "S"
  }

  attribute {
    name = "Key"
    type = "S"
  }

  # Any second of the last 35 days, restored into a new table (../../recovery.sh). It goes with the table: see ../backup.
  point_in_time_recovery {
    enabled = true
  }

  # Neither `terraform destroy` nor a hand in the console deletes it by mistake.
  deletion_protection_enabled = true

  tags = {
    application = "coffer"
  }

  lifecycle {
    prevent_destroy = true
  }
}

output "table_arn" {
  value = aws_dynamodb_table.coffer.arn
}
