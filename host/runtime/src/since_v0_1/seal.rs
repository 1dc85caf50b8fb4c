//! The world `seal-backend`.

use wasmtime::Store;
use wasmtime::component::{Instance, InstancePre};

use super::Setting;
use super::exports::seal::{self, Descriptor};
use crate::guest::{Contract, Failure};
use crate::state::State;

/// Where a component's exports are.
pub(crate) struct SealContract(seal::GuestIndices);

impl Contract for SealContract {
    type Exports = seal::Guest;
    type Opened = Descriptor;

    fn find(pre: &InstancePre<State>, _lock: bool) -> wasmtime::Result<SealContract> {
        Ok(SealContract(seal::GuestIndices::new(pre)?))
    }

    fn exports(&self, store: &mut Store<State>, instance: &Instance) -> wasmtime::Result<seal::Guest> {
        self.0.load(store, instance)
    }

    async fn open(exports: &seal::Guest, store: &mut Store<State>, settings: &[Setting]) -> Result<Descriptor, Failure> {
        Ok(exports.call_open(store, settings).await??)
    }

    async fn attach(exports: &seal::Guest, store: &mut Store<State>, settings: &[Setting], opened: &Descriptor) -> Result<(), Failure> {
        Ok(exports.call_attach(store, settings, opened).await??)
    }
}
