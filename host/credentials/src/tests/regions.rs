use super::*;
use crate::{RegionRule, region};

async fn of(rule: RegionRule, configured: Option<&str>, variables: &[(&str, &str)]) -> (String, String) {
    region(rule, configured, &Identity::default(), &sources(variables)).await.unwrap()
}

#[tokio::test]
async fn for_dynamodb_the_environment_comes_first() {
    let all = [("AWS_DEFAULT_REGION", "eu-south-1"), ("AWS_REGION", "eu-north-1"), ("AWS_DYNAMODB_REGION", "eu-west-3")];
    for (variables, found, from) in [
        (&all[..], "eu-west-3", "AWS_DYNAMODB_REGION"),
        (&all[..2], "eu-north-1", "AWS_REGION"),
        (&all[..1], "eu-south-1", "AWS_DEFAULT_REGION"),
        (&[("AWS_REGION", "")][..], "sa-east-1", "the stanza (`region`)"),
    ] {
        assert_eq!(of(RegionRule::DynamoDb, Some("sa-east-1"), variables).await, (found.to_owned(), from.to_owned()));
    }
    assert_eq!(of(RegionRule::DynamoDb, Some(""), &[]).await, ("us-east-1".to_owned(), "the default, since none is set".to_owned()));
}

#[tokio::test]
async fn for_kms_the_stanza_comes_first_and_the_instance_last() {
    let node = services::imds(3600.0).await;
    let folder = tempfile::tempdir().unwrap();
    let config = write(&folder.path().join("config"), "[default]\nregion = us-west-2\n");
    let imds = ("AWS_EC2_METADATA_SERVICE_ENDPOINT", node.url.as_str());
    let all = [imds, ("AWS_CONFIG_FILE", config.as_str()), ("AWS_DEFAULT_REGION", "eu-south-1")];
    assert_eq!(of(RegionRule::Kms, Some("sa-east-1"), &all).await.0, "sa-east-1");
    assert_eq!(of(RegionRule::Kms, None, &all).await.0, "eu-south-1");
    let (found, from) = of(RegionRule::Kms, None, &all[..2]).await;
    assert_eq!((found.as_str(), from), ("us-west-2", format!("profile `default` of {config}")));
    assert!(node.asked().is_empty());
    assert_eq!(of(RegionRule::Kms, None, &all[..1]).await, ("ap-southeast-2".to_owned(), "the instance metadata".to_owned()));
    let (found, from) = of(RegionRule::Kms, None, &[imds, ("AWS_EC2_METADATA_DISABLED", "true")]).await;
    assert!(found == "us-east-1" && from.contains("AWS_EC2_METADATA_DISABLED"), "{from}");
}

#[tokio::test]
async fn what_cannot_be_part_of_a_host_name_is_refused() {
    for wrong in ["eu-west-1.example.org", "eu_west", "x/y", "EU-WEST-1"] {
        let refused = region(RegionRule::DynamoDb, Some(wrong), &Identity::default(), &sources(&[])).await;
        let what = refused.unwrap_err().to_string();
        assert!(what.contains("the stanza (`region`)") && what.contains(wrong), "{what}");
    }
}
