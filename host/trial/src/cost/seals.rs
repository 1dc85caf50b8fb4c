//! What a seal's operations take.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cofferdam_backend::{Error, Seal};

use super::measure::{Span, Timed, measure};
use super::{Costs, IN_FLIGHT, Rows, component, span};
use crate::report::Value;
use crate::{Ended, Ground, OpenWith, Verdict};

/// The most calls of one operation by one worker: a key service has its price.
const CALLS: (usize, usize) = (1_000, 100);

#[derive(Clone, Copy)]
enum Load {
    Wrap,
    Unwrap,
    Health,
}

impl Load {
    fn operation(self) -> &'static str {
        match self {
            Load::Wrap => "wrap",
            Load::Unwrap => "unwrap",
            Load::Health => "health",
        }
    }

    async fn once(self, seal: &dyn Seal, number: u8) -> Timed {
        let dek = [number; 32];
        match self {
            Load::Wrap => {
                let began = Instant::now();
                seal.wrap(&dek).await?;
                Ok(began.elapsed())
            }
            Load::Unwrap => {
                let wrapped = seal.wrap(&dek).await?;
                let (began, mut found) = (Instant::now(), [0; 32]);
                seal.unwrap(&wrapped, &mut found).await?;
                let took = began.elapsed();
                if found == dek { Ok(took) } else { Err(Error::Corrupt("another key came back".to_owned())) }
            }
            Load::Health => {
                let began = Instant::now();
                seal.health().await?;
                Ok(began.elapsed())
            }
        }
    }
}

/// The check.
pub(super) async fn seal(ground: &Ground<'_>) -> Verdict {
    let began = Instant::now();
    let opened = ground.seal(OpenWith::again()).await?;
    let opening = began.elapsed();
    let mut rows = Rows::new(false);
    let mut verdict = Ok(());
    for load in [Load::Wrap, Load::Unwrap, Load::Health] {
        match costs(ground, &opened.seal, load).await {
            Ok(costs) => rows.add(load.operation(), if matches!(load, Load::Health) { "-" } else { "32 B" }, &costs, None),
            Err(error) => {
                verdict = Err(error);
                break;
            }
        }
    }
    ground.figure("cost/operations", &rows.title(""), Value::Table(rows.table), "");
    component(ground, opening, opened.backend.map(|backend| backend.stats().pool));
    verdict
}

async fn costs(ground: &Ground<'_>, seal: &Arc<dyn Seal>, load: Load) -> Result<Costs, Ended> {
    let most = ground.options.of(CALLS.0, CALLS.1);
    let measured = async |workers: u32, time: Duration| {
        let what = format!("{}, {workers} at a time", load.operation());
        ground.script.note(&*what);
        let seal = Arc::clone(seal);
        let once = move |_: u32, number: u32| {
            let seal = Arc::clone(&seal);
            async move { load.once(&*seal, number.to_le_bytes()[0]).await }
        };
        measure(&what, Span { workers, time, most }, once).await
    };
    Ok(Costs { one: measured(1, span(ground) * 3 / 5).await?, several: measured(IN_FLIGHT, span(ground) * 2 / 5).await? })
}
