#!/usr/bin/env bash
# Recovers a server's table into a new one and turns on again what a restore leaves off. The old table is not touched.
#
#     recovery.sh coffer-data coffer-data-2 2026-11-21T23:45:00Z    # as it was at that second (point-in-time recovery)
#     recovery.sh coffer-data coffer-data-2 latest                  # as late as possible, about 5 minutes ago
#     recovery.sh coffer-data coffer-data-2 arn:aws:dynamodb:…      # from a backup of DynamoDB's own
#     recovery.sh coffer-data coffer-data-2 restored                # coffer-data-2 is there already, from a restore of AWS Backup
#
# DynamoDB restores into a new name only, and gives the new table neither point-in-time recovery, nor deletion protection, nor tags, nor
# autoscaling, nor alarms. (Nor streams, nor expiry by time: a server's table has none.) This copies them from the old table, as far as that
# still exists; otherwise apply terraform/ to the new name after `terraform import`.
#
# Needs aws (version 2) and jq. Stop the servers before, unless the old table is lost anyway: what they write from now on is not in the new one.
set -euo pipefail

usage="usage: recovery.sh OLD NEW TIME|latest|BACKUP_ARN|restored"
old=${1:?$usage} new=${2:?$usage} from=${3:?$usage}

say() { printf '==> %s\n' "$*"; }

described=$(aws dynamodb describe-table --table-name "$old" --output json 2>/dev/null || true)

say "restore $old into $new"
case $from in
    restored) ;;
    latest) aws dynamodb restore-table-to-point-in-time --source-table-name "$old" --target-table-name "$new" --use-latest-restorable-time >/dev/null ;;
    arn:*) aws dynamodb restore-table-from-backup --backup-arn "$from" --target-table-name "$new" >/dev/null ;;
    *) aws dynamodb restore-table-to-point-in-time --source-table-name "$old" --target-table-name "$new" --restore-date-time "$from" >/dev/null ;;
esac
# Minutes to hours. The waiter gives up after some minutes: then call again with "restored".
aws dynamodb wait table-exists --table-name "$new"
arn=$(aws dynamodb describe-table --table-name "$new" --query Table.TableArn --output text)

say "point-in-time recovery and deletion protection"
aws dynamodb update-continuous-backups --table-name "$new" \
    --point-in-time-recovery-specification PointInTimeRecoveryEnabled=true >/dev/null
aws dynamodb update-table --table-name "$new" --deletion-protection-enabled >/dev/null
aws dynamodb wait table-exists --table-name "$new"

if [ -z "$described" ]; then
    say "$old does not exist any more: its tags, autoscaling and alarms cannot be copied; apply terraform/ to $new"
else
    say "tags"
    tags=$(aws dynamodb list-tags-of-resource --resource-arn "$(jq -r .Table.TableArn <<<"$described")" --output json |
        jq -c '[.Tags[] | select(.Key | startswith("aws:") | not)]')
    [ "$tags" = "[]" ] || aws dynamodb tag-resource --resource-arn "$arn" --tags "$tags"

    say "autoscaling"
    aws application-autoscaling describe-scalable-targets --service-namespace dynamodb --resource-ids "table/$old" --output json |
        jq -c '.ScalableTargets[] | {ServiceNamespace, ScalableDimension, MinCapacity, MaxCapacity}' |
        while read -r target; do
            aws application-autoscaling register-scalable-target --resource-id "table/$new" --cli-input-json "$target" >/dev/null
        done
    aws application-autoscaling describe-scaling-policies --service-namespace dynamodb --resource-id "table/$old" --output json |
        jq -c --arg old "$old" --arg new "$new" '.ScalingPolicies[]
            | {ServiceNamespace, ScalableDimension, PolicyType, TargetTrackingScalingPolicyConfiguration,
               PolicyName: (.PolicyName | split($old) | join($new))}' |
        while read -r policy; do
            aws application-autoscaling put-scaling-policy --resource-id "table/$new" --cli-input-json "$policy" >/dev/null
        done

    say "alarms"
    # Those that autoscaling makes for itself come with its policies.
    aws cloudwatch describe-alarms --alarm-types MetricAlarm --output json |
        jq -c --arg old "$old" --arg new "$new" '.MetricAlarms[]
            | select(.Namespace == "AWS/DynamoDB" and any(.Dimensions[]; .Name == "TableName" and .Value == $old))
            | select(.AlarmName | startswith("TargetTracking-") | not)
            | {AlarmName, AlarmDescription, ActionsEnabled, OKActions, AlarmActions, InsufficientDataActions, MetricName, Namespace,
               Statistic, ExtendedStatistic, Dimensions, Period, Unit, EvaluationPeriods, DatapointsToAlarm, Threshold,
               ComparisonOperator, TreatMissingData}
            | with_entries(select(.value != null))
            | .AlarmName = (if (.AlarmName | contains($old)) then (.AlarmName | split($old) | join($new)) else .AlarmName + "-" + $new end)
            | .Dimensions |= map(if .Name == "TableName" then .Value = $new else . end)' |
        while read -r alarm; do
            aws cloudwatch put-metric-alarm --cli-input-json "$alarm"
        done
fi

cat <<END
==> left to you
    1. The new table's ARN in the role's policy and in the VPC endpoint's: $arn
    2. A resource policy on the table, if $old had one, and the new ARN among the resources of AWS Backup.
    3. table = "$new" in the configuration (or AWS_DYNAMODB_TABLE), then start the servers and unseal them with the keys of that time.
       The lock of the leader of that time was restored too. Nobody renews it, so the first server takes it over when it has seen it
       unchanged for 20 seconds; until then it stands by. Nothing need be removed from the table by hand.
    4. Secrets, tokens and leases are those of that time. Revoke what must not come back.
END
