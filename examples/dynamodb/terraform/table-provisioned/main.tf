# The table with provisioned capacity that follows the load. Two things to know of it:
#
# - Application Auto Scaling changes the capacities behind Terraform's back, so Terraform must not set them again: ignore_changes.
# - It reacts in minutes. Until then a burst is throttled; the server tries again and, past a call's time, answers 503. The lock is renewed
#   over a connection of its own, but draws on the same capacity: keep the minimum above what renewing needs (1 unit every 5 seconds).

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

variable "capacity" {
  description = "Units per second, least and most. A write of up to 1 KiB is one unit, a strongly consistent read of up to 4 KiB is one."
  type = object({
    read  = object({ min = number, max = number })
    write = object({ min = number, max = number })
  })
  default = {
    read  = { min = 10, max = 200 }
    write = { min = 10, max = 100 }
  }
}

resource "aws_dynamodb_table" "coffer" {
  name           = var.table
  billing_mode   = "PROVISIONED"
  read_capacity  = var.capacity.read.min
  write_capacity = var.capacity.write.min

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

  point_in_time_recovery {
    enabled = true
  }

  deletion_protection_enabled = true

  tags = {
    application = "coffer"
  }

  lifecycle {
    prevent_destroy = true
    ignore_changes  = [read_capacity, write_capacity]
  }
}

locals {
  dimensions = {
    read = {
      dimension = "dynamodb:table:ReadCapacityUnits"
      metric    = "DynamoDBReadCapacityUtilization"
    }
    write = {
      dimension = "dynamodb:table:WriteCapacityUnits"
      metric    = "DynamoDBWriteCapacityUtilization"
    }
  }
}

resource "aws_appautoscaling_target" "coffer" {
  for_each           = local.dimensions
  service_namespace  = "dynamodb"
  resource_id        = "table/${aws_dynamodb_table.coffer.name}"
  scalable_dimension = each.value.dimension
  min_capacity       = var.capacity[each.key].min
  max_capacity       = var.capacity[each.key].max
}

resource "aws_appautoscaling_policy" "coffer" {
  for_each           = local.dimensions
  name               = "${each.value.metric}:${aws_appautoscaling_target.coffer[each.key].resource_id}"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = "dynamodb"
  resource_id        = aws_appautoscaling_target.coffer[each.key].resource_id
  scalable_dimension = each.value.dimension

  target_tracking_scaling_policy_configuration {
    target_value = 70

    predefined_metric_specification {
      predefined_metric_type = each.value.metric
    }
  }
}

# Throttled writes are what an operator should hear of first.
resource "aws_cloudwatch_metric_alarm" "throttled" {
  for_each            = toset(["ReadThrottleEvents", "WriteThrottleEvents"])
  alarm_name          = "${var.table}-${each.key}"
  alarm_description   = "The table's capacity does not suffice: raise capacity.write.max or capacity.read.max"
  namespace           = "AWS/DynamoDB"
  metric_name         = each.key
  dimensions          = { TableName = aws_dynamodb_table.coffer.name }
  statistic           = "Sum"
  period              = 60
  evaluation_periods  = 5
  threshold           = 0
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
}

output "table_arn" {
  value = aws_dynamodb_table.coffer.arn
}
