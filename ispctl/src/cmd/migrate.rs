use serde::Serialize;

use crate::context::Context;
use crate::error::Result;

#[derive(Serialize)]
struct Report {
    applied: Vec<String>,
}

pub(crate) async fn run(context: &Context) -> Result<()> {
    let store = context.open(true).await?;
    let applied = store.migrate().await?;
    if context.output.json {
        return context.output.record(&Report { applied });
    }
    for migration in &applied {
        context.output.line(migration)?;
    }
    context.output.done(match applied.len() {
        0 => "the schema is up to date",
        _ => "the schema is now up to date",
    });
    Ok(())
}
