//! What a manifest says of a component: which layer it is, and which its signature.

use super::PullError;
use crate::is_sha256;
use oci_client::manifest::{IMAGE_MANIFEST_LIST_MEDIA_TYPE, IMAGE_MANIFEST_MEDIA_TYPE, OCI_IMAGE_INDEX_MEDIA_TYPE, OCI_IMAGE_MEDIA_TYPE};
use oci_client::manifest::{OciDescriptor, OciImageManifest, OciManifest, WASM_LAYER_MEDIA_TYPE};

/// The forms that a registry is asked for.
pub(super) const ACCEPT: [&str; 4] =
    [OCI_IMAGE_MEDIA_TYPE, IMAGE_MANIFEST_MEDIA_TYPE, OCI_IMAGE_INDEX_MEDIA_TYPE, IMAGE_MANIFEST_LIST_MEDIA_TYPE];
/// A component's layer: as `wkg` and `oras` write it, and in the older form.
const COMPONENT: [&str; 2] = ["application/wasm", WASM_LAYER_MEDIA_TYPE];
/// Where a layer's file name is, as `oras` writes it.
const TITLE: &str = "org.opencontainers.image.title";

/// A layer that is to be fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// `sha256:` and hexadecimal digits.
    pub digest: String,
    /// In bytes.
    pub size: u64,
}

/// The layers of a component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layers {
    /// The component.
    pub component: Layer,
    /// Its signature: a layer whose title ends in `.wasm.minisig`.
    pub signature: Option<Layer>,
}

impl Layers {
    /// Reads a manifest. One component is in it, neither none nor several.
    pub fn parse(bytes: &[u8]) -> Result<Layers, PullError> {
        let refuse = |why: String| PullError::Manifest(why);
        let manifest: OciManifest =
            serde_json::from_slice(bytes).map_err(|_| refuse("it is neither an OCI image manifest nor an index".to_owned()))?;
        let manifest: OciImageManifest = match manifest {
            OciManifest::Image(manifest) => manifest,
            OciManifest::ImageIndex(index) => {
                let digests: Vec<String> = index.manifests.iter().take(10).map(|entry| shown(&entry.digest)).collect();
                return Err(refuse(format!("it is an index of several manifests: name the digest of one ({})", digests.join(", "))));
            }
        };
        if manifest.schema_version != 2 {
            return Err(refuse(format!("its schema version is {}, expected 2", manifest.schema_version)));
        }
        let components: Vec<&OciDescriptor> =
            manifest.layers.iter().filter(|layer| COMPONENT.contains(&layer.media_type.as_str())).collect();
        let [component] = components[..] else {
            let types: Vec<String> = manifest.layers.iter().take(10).map(|layer| shown(&layer.media_type)).collect();
            let (count, wanted) = (components.len(), COMPONENT.join(" or "));
            return Err(refuse(format!(
                "it has {count} components, expected one layer of type {wanted}; its layers: {}",
                types.join(", ")
            )));
        };
        let signature = manifest.layers.iter().find(|layer| title(layer).is_some_and(|title| title.ends_with(".wasm.minisig")));
        Ok(Layers { component: Layer::new(component)?, signature: signature.map(Layer::new).transpose()? })
    }
}

impl Layer {
    fn new(descriptor: &OciDescriptor) -> Result<Layer, PullError> {
        let digest = &descriptor.digest;
        if digest.strip_prefix("sha256:").is_none_or(|hex| !is_sha256(hex)) {
            return Err(PullError::Manifest(format!("the digest {} of a layer is not sha256: and 64 hexadecimal digits", shown(digest))));
        }
        let size = u64::try_from(descriptor.size).map_err(|_| PullError::Manifest("the size of a layer is negative".to_owned()))?;
        Ok(Layer { digest: digest.clone(), size })
    }
}

fn title(layer: &OciDescriptor) -> Option<&str> {
    layer.annotations.as_ref()?.get(TITLE).map(String::as_str)
}

/// A registry's text, for a message.
pub(super) fn shown(text: &str) -> String {
    text.chars().take(100).collect::<String>().escape_debug().to_string()
}
