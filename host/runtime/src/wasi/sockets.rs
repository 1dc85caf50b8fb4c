//! `wasi:sockets` without sockets: what a language's runtime imports is there, every call is refused and counted, and no socket of the
//! host is ever made.
//!
//! The stubs are made from the component's own imports, so that they fit whatever version of the interfaces it was built against.

use std::sync::Arc;

use wasmtime::StoreContextMut;
use wasmtime::component::types::{ComponentFunc, ComponentItem, Type};
use wasmtime::component::{Component, Linker, LinkerInstance, Resource, ResourceType, Val};
use wasmtime::{bail, format_err};

use crate::state::State;

/// A handle on the network that leads nowhere.
enum Network {}

/// Resources that no call ever returns.
enum Never<const N: usize> {}

pub(super) fn link(linker: &mut Linker<State>, component: &Component) -> wasmtime::Result<()> {
    let engine = component.engine();
    for (interface, item) in component.component_type().imports(engine) {
        if !interface.starts_with("wasi:sockets/") {
            continue;
        }
        let ComponentItem::ComponentInstance(instance) = item.ty else { continue };
        let mut stubs = linker.instance(interface)?;
        for (name, item) in instance.exports(engine) {
            match item.ty {
                ComponentItem::ComponentFunc(function) => refuse(&mut stubs, name, &function)?,
                ComponentItem::Resource(_) => resource(&mut stubs, name)?,
                _ => {}
            }
        }
    }
    Ok(())
}

fn resource(stubs: &mut LinkerInstance<'_, State>, name: &str) -> wasmtime::Result<()> {
    let ty = match name {
        "network" => ResourceType::host::<Network>(),
        "tcp-socket" => ResourceType::host::<Never<0>>(),
        "udp-socket" => ResourceType::host::<Never<1>>(),
        "incoming-datagram-stream" => ResourceType::host::<Never<2>>(),
        "outgoing-datagram-stream" => ResourceType::host::<Never<3>>(),
        "resolve-address-stream" => ResourceType::host::<Never<4>>(),
        // Taken over from wasi:io, which defines it.
        _ => return Ok(()),
    };
    stubs.resource(name, ty, |_, _| Ok(()))
}

fn refuse(stubs: &mut LinkerInstance<'_, State>, name: &str, function: &ComponentFunc) -> wasmtime::Result<()> {
    if name == "instance-network" {
        return stubs.func_wrap(name, |_: StoreContextMut<'_, State>, (): ()| Ok((Resource::<Network>::new_own(0),)));
    }
    // Every function that can be reached returns a result whose error is an enumeration with this case.
    let refusal = match function.results().next() {
        Some(Type::Result(result)) => matches!(result.err(), Some(Type::Enum(cases)) if cases.names().any(|case| case == "access-denied")),
        _ => false,
    };
    let function: Arc<str> = name.into();
    stubs.func_new_async(name, move |mut store, _, arguments, results| {
        let function = Arc::clone(&function);
        Box::new(async move {
            store.data().socket_refused(&function);
            for argument in arguments {
                // A handle that was lent for the call must be given back in it.
                if let Val::Resource(lent) = argument {
                    lent.resource_drop_async(&mut store).await?;
                }
            }
            if !refusal {
                bail!("wasi:sockets is not granted: {function} cannot be called");
            }
            let answer = results.first_mut().ok_or_else(|| format_err!("{function} returns nothing"))?;
            *answer = Val::Result(Err(Some(Box::new(Val::Enum("access-denied".to_owned())))));
            Ok(())
        })
    })
}
