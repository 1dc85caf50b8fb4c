//! Every test that crosses crates, as one binary: linking is what takes long.

#[cfg(test)]
mod authors;
#[cfg(test)]
mod aws_auth;
#[cfg(test)]
mod awskms;
#[cfg(test)]
mod bench;
#[cfg(test)]
mod bench_load;
#[cfg(test)]
mod conformance;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod dynamodb;
#[cfg(test)]
mod e2e;
#[cfg(test)]
mod etcd;
#[cfg(test)]
mod filesystem;
#[cfg(test)]
mod ha;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod late;
#[cfg(test)]
mod locks;
#[cfg(test)]
mod migrate;
#[cfg(test)]
mod oracle;
#[cfg(test)]
mod plugins;
#[cfg(test)]
mod proxy;
#[cfg(test)]
mod runtime;
#[cfg(test)]
mod snapshot;
#[cfg(test)]
mod trial;
