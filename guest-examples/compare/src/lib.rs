//! Compares a model with one that may not be there: an `option<input>`.

wit_bindgen::generate!({
    path: ["../../wit", "wit"],
    world: "example:compare/compare",
    generate_all,
});

use logistic::{Model, Outcomes, Table};
use wharf::step::telemetry::{self, Level};

struct Component;

impl Guest for Component {
    fn run(data: Input, challenger: Input, champion: Option<Input>) -> Result<Verdict, String> {
        let table = Table::read(artifact_io::reader(|offset, len| data.read(offset, len)))?;
        let challenger = outcomes(&challenger, &table)?;
        let champion = champion
            .map(|champion| outcomes(&champion, &table))
            .transpose()?;
        let better = champion.is_none_or(|champion| challenger.loss < champion.loss);
        say("challenger", &challenger);
        champion
            .iter()
            .for_each(|champion| say("champion", champion));
        Ok(Verdict {
            accuracy: challenger.accuracy(),
            champion_accuracy: champion.map(|champion| champion.accuracy()),
            loss: challenger.loss,
            champion_loss: champion.map(|champion| champion.loss),
            better,
        })
    }
}

fn say(who: &str, outcomes: &Outcomes) {
    let fields = [
        ("accuracy".to_owned(), format!("{:.4}", outcomes.accuracy())),
        ("loss".to_owned(), format!("{:.4}", outcomes.loss)),
    ];
    telemetry::log(Level::Info, who, &fields);
}

/// How a model does. An error names the model.
fn outcomes(model: &Input, table: &Table) -> Result<Outcomes, String> {
    let named = |error: &dyn ToString| format!("{}: {}", model.name(), error.to_string());
    let reader = artifact_io::reader(|offset, len| model.read(offset, len));
    let model: Model = serde_json::from_reader(reader).map_err(|error| named(&error))?;
    model.evaluate(table).map_err(|error| named(&error))
}

export!(Component);
