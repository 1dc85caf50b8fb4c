//! Identities as another server stored them.

use super::stored::read as read_bucket;
use super::stored::testing::forms;
use super::*;
use crate::testing::test_view;

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn ann() -> Entity {
    let alias = Alias {
        id: "al1".to_owned(),
        mount_accessor: "auth_approle_1".to_owned(),
        name: "ann@approle".to_owned(),
        metadata: pairs(&[("role_name", "r")]),
        custom_metadata: pairs(&[("team", "blue")]),
    };
    Entity {
        id: "e1".to_owned(),
        name: "ann".to_owned(),
        metadata: pairs(&[("floor", "3"), ("wild", "a*")]),
        policies: texts(&["Own ", "own"]),
        aliases: vec![alias],
        merged: texts(&["e0"]),
        ..Entity::default()
    }
}

fn group(id: &str, policies: &[&str], parents: &[&str], members: &[&str]) -> Group {
    Group {
        id: id.to_owned(),
        name: format!("{id}-name"),
        metadata: pairs(&[("k", id)]),
        policies: texts(policies),
        parents: texts(parents),
        members: texts(members),
    }
}

async fn identities() -> Identities {
    let view = test_view().await;
    let local = Alias { id: "al2".to_owned(), mount_accessor: "auth_local_1".to_owned(), name: "ann@local".to_owned(), ..Alias::default() };
    let gone = Entity { id: "e2".to_owned(), disabled: true, ..Entity::default() };
    let [plain, snappy, gzip] = forms(&[Item::Entity(ann()), Item::Other, Item::Entity(gone)]);
    assert!(snappy.starts_with(b"S\xff\x06\x00\x00sNaPpY") && gzip.starts_with(b"G\x1f\x8b"));
    view.put("packer/buckets/7", &snappy).await.unwrap();
    view.put("packer/buckets/8", &forms(&[])[0]).await.unwrap();
    // Groups within each other: no server makes them, and none loops over them.
    let groups = [group("g1", &["g1p"], &["g2"], &["e1"]), group("g2", &["g2p"], &["g1"], &[]), group("g3", &["g3p"], &[], &["e9"])];
    view.put("packer/group/buckets/1", &forms(&groups.map(Item::Group))[2]).await.unwrap();
    view.put("packer/local-aliases/buckets/1", &forms(&[Item::LocalAliases("e1".to_owned(), vec![local])])[1]).await.unwrap();
    assert_eq!(read_bucket(&plain), read_bucket(&snappy));
    assert_eq!(read_bucket(&plain), read_bucket(&gzip));
    Identities::new(Some(view))
}

#[tokio::test]
async fn an_entity_has_the_policies_of_its_groups_and_of_theirs() {
    let identities = identities().await;
    let subject = identities.subject("e1").await.unwrap().unwrap();
    assert_eq!(subject.policies(), ["g1p", "g2p", "own"]);
    assert_eq!(identities.subject("e0").await.unwrap().unwrap().entity.id, "e1");
    assert!(identities.subject("e2").await.unwrap().unwrap().entity.disabled);
    assert!(identities.subject("e9").await.unwrap().is_none());
    for (accessor, name, id) in
        [("auth_approle_1", "ann@approle", Some("e1")), ("auth_local_1", "ann@local", Some("e1")), ("auth_local_1", "ann@approle", None)]
    {
        assert_eq!(identities.by_alias(accessor, name).await.unwrap().as_deref(), id, "{accessor} {name}");
    }
    assert!(Identities::new(None).subject("e1").await.unwrap().is_none());
}

#[tokio::test]
async fn paths_are_made_from_what_an_entity_has_and_from_nothing_else() {
    let subject = identities().await.subject("e1").await.unwrap().unwrap();
    for (template, path) in [
        ("a/{{identity.entity.name}}/*", Some("a/ann/*")),
        ("{{ identity.entity.id }}", Some("e1")),
        ("{{identity.entity.metadata.floor}}/{{identity.entity.id}}", Some("3/e1")),
        ("{{identity.entity.aliases.auth_approle_1.name}}", Some("ann@approle")),
        ("{{identity.entity.aliases.auth_approle_1.id}}", Some("al1")),
        ("{{identity.entity.aliases.auth_approle_1.metadata.role_name}}", Some("r")),
        ("{{identity.entity.aliases.auth_approle_1.custom_metadata.team}}", Some("blue")),
        ("{{identity.entity.aliases.auth_local_1.name}}", Some("ann@local")),
        ("{{identity.groups.ids.g2.name}}", Some("g2-name")),
        ("{{identity.groups.names.g1-name.id}}", Some("g1")),
        ("{{identity.groups.ids.g1.metadata.k}}", Some("g1")),
        ("{{identity.groups.ids.g3.name}}", None),
        ("{{identity.entity.metadata.none}}", None),
        ("{{identity.entity.aliases.other.name}}", None),
        ("{{identity.entity}}", None),
        ("{{time.now}}", None),
    ] {
        assert_eq!(subject.fill(template), path.map_or(Made::Nothing, |path| Made::Path(path.to_owned())), "{template}");
    }
    assert_eq!(subject.fill("a/{{identity.entity.metadata.wild}}"), Made::Wild);
}

#[tokio::test]
async fn what_cannot_be_read_is_an_error_and_not_an_empty_bucket() {
    for bytes in [&b"S\xff\x06\x00\x00sNaPpY\x01"[..], b"Gx", b"\x12\xff", b"Lx", b"\x1a\x03\x0a\x01a"] {
        let view = test_view().await;
        view.put("packer/group/buckets/0", bytes).await.unwrap();
        assert!(matches!(Identities::new(Some(view)).subject("e1").await, Err(Error::Damaged(_))), "{bytes:?}");
    }
}

/// What OpenBao 2.7.2 stored: an entity that logged in by an approle, in a group that is in another; all have policies.
#[tokio::test]
async fn what_openbao_stored_is_read() {
    use base64::Engine as _;
    let stored: BTreeMap<String, String> = serde_json::from_str(include_str!("golden/bao-2.7.2.json")).unwrap();
    let view = test_view().await;
    for (key, value) in &stored {
        view.put(key, &base64::engine::general_purpose::STANDARD.decode(value).unwrap()).await.unwrap();
    }
    let identities = Identities::new(Some(view));
    let id = "50c2e66e-6b3a-326c-6855-09cd91f283a4";
    let subject = identities.subject(id).await.unwrap().unwrap();
    assert_eq!(subject.policies(), ["epol", "ipol", "opol"]);
    let role_id = "74dd2792-67d9-399f-7ff4-3d5123e52519";
    assert_eq!(identities.by_alias("auth_approle_8f636610", role_id).await.unwrap().as_deref(), Some(id));
    for (template, path) in [
        ("{{identity.entity.name}}", "ann"),
        ("{{identity.entity.metadata.floor}}", "3"),
        ("{{identity.entity.aliases.auth_approle_8f636610.name}}", role_id),
        ("{{identity.groups.names.outer.metadata.k}}", "v"),
        ("{{identity.groups.names.inner.id}}", "03fed68b-c4dc-340f-f800-8ba0e0ec2e16"),
    ] {
        assert_eq!(subject.fill(template), Made::Path(path.to_owned()), "{template}");
    }
}
