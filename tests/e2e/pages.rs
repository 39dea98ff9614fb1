//! The pages that show a whole capability are followed, command by command.

use std::collections::BTreeMap;
use std::fs;

use rustix::process::Signal;
use serde_json::Value as Json;

use crate::harness::{Page, Project, guest, source_folder, target_folder};

/// `docs/promote.md`: which model is tagged, and when the tag moves.
#[test]
fn a_model_is_promoted_as_the_page_says() {
    Page::open("promote.md").follow();
}

/// `docs/backfill.md`: a year of flights, month by month. The tables hold what is
/// counted here.
#[test]
fn a_year_is_backfilled_as_the_page_says() {
    let flights = flights();
    let page = Page::open("backfill.md");
    page.follow();
    assert_eq!(page.read("year.csv"), table_of_the_year(&flights));
    let mut months = String::new();
    for version in 1..=12 {
        let (reference, path) = (
            format!("flights-of-a-month@{version}"),
            format!("{version}.csv"),
        );
        let get = ["artifact", "get", &reference, &path];
        page.wharf(&get).run().exits(0);
        let summary = page.read(&path);
        months += summary.split_once('\n').expect("a header").1;
    }
    let wanted = flights.iter().map(|((month, carrier), counted)| {
        let Counted {
            flights,
            cancelled,
            minutes,
        } = counted;
        format!("2013-{month:02},{carrier},{flights},{cancelled},{minutes}")
    });
    let mut months: Vec<_> = months.lines().collect();
    months.sort_unstable();
    assert_eq!(months, wanted.collect::<Vec<_>>());
    // What ran anew gave the same, and no other version.
    let more = ["artifact", "show", "flights-of-a-month@13"];
    page.wharf(&more).run().exits(1);
    let again = "pipeline run flights.yaml --from 2013-01 --to 2013-12 --json";
    let again: Vec<_> = again.split(' ').collect();
    let again = page.wharf(&again).run().exits(0);
    assert_eq!(statuses(&again.stdout), ["cached"; 12]);
}

/// What is counted of a month's flights of a carrier.
#[derive(Clone, Copy, Default)]
struct Counted {
    flights: u64,
    cancelled: u64,
    minutes: i64,
}

type Flights = BTreeMap<(u8, String), Counted>;

/// Counts the flights of the data set, with nothing that the guests use.
fn flights() -> Flights {
    let path = target_folder().join("data/flights.csv");
    let table = fs::read_to_string(&path).unwrap_or_else(|error| {
        let path = path.display();
        panic!("{path}: {error}; fetch it first: cargo xtask data")
    });
    let mut flights = Flights::new();
    for line in table.lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        let month = cells[1].parse().expect("the second column is the month");
        let counted = flights.entry((month, cells[9].to_owned())).or_default();
        counted.flights += 1;
        match cells[5] {
            "NA" => counted.cancelled += 1,
            delay => counted.minutes += delay.parse::<i64>().expect("minutes"),
        }
    }
    let count = |month: Option<u8>| -> u64 {
        let of = |key: &&(u8, String)| month.is_none_or(|month| key.0 == month);
        let keys = flights.keys().filter(of);
        keys.map(|key| flights[key].flights).sum()
    };
    assert_eq!((count(None), count(Some(1))), (336_776, 27_004));
    flights
}

/// The table that `merge` should make of them.
fn table_of_the_year(flights: &Flights) -> String {
    let mut carriers = BTreeMap::<&str, Counted>::new();
    for ((_, carrier), month) in flights {
        let year = carriers.entry(carrier).or_default();
        year.flights += month.flights;
        year.cancelled += month.cancelled;
        year.minutes += month.minutes;
    }
    let rows = carriers.iter().map(|(carrier, year)| {
        let mean = year.minutes as f64 / (year.flights - year.cancelled) as f64;
        let (flights, cancelled) = (year.flights, year.cancelled);
        format!("{carrier},{flights},{cancelled},{mean:.2}\n")
    });
    let rows: String = rows.collect();
    format!("carrier,flights,cancelled,mean_delay\n{rows}")
}

/// How the one step of each run ended.
fn statuses(printed: &str) -> Vec<String> {
    let status = |line: &str| {
        let ended: Json = serde_json::from_str(line).expect("a report");
        let status = ended["steps"][0]["status"].as_str().expect("a status");
        status.to_owned()
    };
    printed.lines().map(status).collect()
}

#[test]
fn a_backfill_that_is_killed_goes_on() {
    let project = Project::new();
    let pipeline = source_folder().join("docs/examples/flights.yaml");
    fs::copy(pipeline, project.path("flights.yaml")).expect("the pipeline is there");
    fs::create_dir(project.path("steps")).expect("a new folder");
    fs::copy(guest("summarise"), project.path("steps/summarise.wasm")).expect("the guest");
    let mut table = "year,month,dep_delay,carrier\n".to_owned();
    for flight in 0..200_000 {
        table += &format!("2013,{},{},UA\n", flight % 12 + 1, flight % 60);
    }
    project.write("flights.csv", table);
    let backfill = || {
        let arguments = "pipeline run flights.yaml --from 2013-01 --to 2013-12 --json";
        project.wharf(arguments.split(' '))
    };
    let running = backfill().start();
    running.wait_for_event("step-ended");
    running.signal(Signal::KILL);
    running.wait();
    let resumed = backfill().run().exits(0);
    let resumed = statuses(&resumed.stdout);
    assert_eq!(resumed.len(), 12);
    let is_done = |status: &String| status == "cached" || status == "succeeded";
    assert!(resumed.iter().all(is_done), "{resumed:?}");
    assert!(resumed.iter().any(|status| status == "cached"));
    let again = backfill().run().exits(0);
    assert_eq!(statuses(&again.stdout), ["cached"; 12]);
}

#[test]
fn a_month_that_is_there_twice_is_not_merged() {
    let summary = "month,carrier,flights,cancelled,delay_minutes\n2013-01,UA,2,0,9\n";
    let project = Project::with(&[("january.csv", summary)]);
    let arguments = ["months=january.csv", "months=january.csv", "table=year.csv"];
    let failed = project.step(&guest("merge"), &arguments).record(1);
    assert_eq!(failed["outcome"]["message"], "2013-01 is there twice");
}
