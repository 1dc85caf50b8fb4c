//! `coffer proxy`: beside an application or inside of a Lambda function, it logs in to a server that speaks Vault's API, keeps the token fresh,
//! writes secrets to files, and hands out what the server answers to whoever asks on this machine.
//!
//! The rule: a token is used only while the wall clock says it is valid, and no secret and no token is ever written to a log or an error.

mod cache;
mod files;
mod forward;
mod lambda;
mod log;
mod login;
mod run;
#[cfg(test)]
mod scripted;
mod serve;
mod settings;
mod sts;
mod token;
mod upstream;

pub use files::{Files, FilesError};
pub use login::LoginError;
pub use run::{RunError, run};
pub use settings::{
    Arguments, AwsLogin, Cache, Environment, Listen, LogFormat, LogLevel, Login, Mode, Own, Secret, Settings, SettingsError,
};
pub use token::{Clock, Keeper, Token, system_clock};
pub use upstream::{Answer, CallError, SendError, Streamed, Upstream};
