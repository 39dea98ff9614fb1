//! Looks at a page with a real browser, headless, and says what is there.
//!
//! Chromium is driven over a pipe, by its DevTools protocol: JSON texts that end with a
//! zero byte. Nothing listens on a port. With the variable `WHARF_PICTURES`, pictures of
//! what it has looked at are kept in the folder that it names, for people to look at.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value as Json, json};
use tempfile::TempDir;

use super::HANG;

/// What the browser is called, on one system or another; xtask looks for the same.
const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// Has a browser that does nothing but what it is told.
const OPTIONS: [&str; 11] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
];

/// How a page is looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    /// In pixels.
    pub(crate) width: u32,
    /// Whether the user wants it dark.
    pub(crate) dark: bool,
}

/// What is to be seen of a page.
pub(crate) struct Seen {
    /// The page as the browser understood it.
    pub(crate) dom: String,
    /// What the browser complains about: scripts, policies, errors.
    pub(crate) complaints: Vec<Json>,
    /// What it asked for.
    pub(crate) requests: Vec<String>,
    /// How wide the page is, in pixels.
    pub(crate) width: f64,
    /// The picture of it all.
    pub(crate) picture: Picture,
}

/// A picture.
pub(crate) struct Picture {
    pixels: Vec<[u8; 3]>,
}

impl Picture {
    fn decode(png: &[u8]) -> Self {
        let decoder = png::Decoder::new(std::io::Cursor::new(png));
        let mut reader = decoder.read_info().expect("a picture");
        let mut bytes = vec![0; reader.output_buffer_size().expect("a size")];
        let frame = reader.next_frame(&mut bytes).expect("a picture");
        let samples = frame.color_type.samples();
        assert!(samples >= 3, "the picture has colours");
        let pixels = bytes[..frame.buffer_size()].chunks(samples);
        Self {
            pixels: pixels.map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect(),
        }
    }

    /// How many pixels have a colour such as `#1a7f37`, nearly.
    pub(crate) fn count(&self, colour: &str) -> usize {
        let part = |at: usize| u8::from_str_radix(&colour[at..at + 2], 16).expect("a colour");
        let wanted = [part(1), part(3), part(5)];
        let near = |pixel: &&[u8; 3]| {
            pixel
                .iter()
                .zip(wanted)
                .all(|(is, wanted)| is.abs_diff(wanted) <= 2)
        };
        self.pixels.iter().filter(near).count()
    }

    /// How many different colours it has.
    pub(crate) fn colours(&self) -> usize {
        let colours: std::collections::BTreeSet<_> = self.pixels.iter().collect();
        colours.len()
    }
}

/// A browser that runs.
pub(crate) struct Browser {
    child: Child,
    input: ChildStdin,
    output: Receiver<Json>,
    /// What has happened while answers were waited for.
    events: Vec<Json>,
    asked: u64,
    _profile: TempDir,
}

impl Browser {
    /// Starts a browser with an empty profile.
    pub(crate) fn start() -> Self {
        let profile = tempfile::tempdir().expect("a new folder");
        // The browser has its pipe at 3 and 4.
        let script = "exec \"$0\" \"$@\" 3<&0 4>&1 0</dev/null 1>&2";
        let mut child = Command::new("/bin/sh")
            .args(["-c", script])
            .arg(program())
            .args(OPTIONS)
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .env("HOME", profile.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the browser starts");
        let input = child.stdin.take().expect("a pipe");
        let from = BufReader::new(child.stdout.take().expect("a pipe"));
        let (said, output) = channel();
        std::thread::spawn(move || {
            for text in from.split(0).map_while(Result::ok) {
                let message = serde_json::from_slice(&text).expect("the browser says JSON");
                if said.send(message).is_err() {
                    return;
                }
            }
        });
        Self {
            child,
            input,
            output,
            events: Vec::new(),
            asked: 0,
            _profile: profile,
        }
    }

    /// Opens a page of this machine in a window of its own, and looks at it.
    pub(crate) fn look(&mut self, page: &Path, window: Window) -> Seen {
        let target = self.ask(None, "Target.createTarget", json!({"url": "about:blank"}));
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let attached = self.ask(None, "Target.attachToTarget", attach);
        let session = attached["sessionId"]
            .as_str()
            .expect("a session")
            .to_owned();
        let session = Some(&*session);
        for part in ["Page", "Network", "Log", "Runtime"] {
            self.ask(session, &format!("{part}.enable"), json!({}));
        }
        let size =
            json!({"width": window.width, "height": 800, "deviceScaleFactor": 1, "mobile": false});
        self.ask(session, "Emulation.setDeviceMetricsOverride", size);
        let scheme = if window.dark { "dark" } else { "light" };
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.ask(session, "Emulation.setEmulatedMedia", media);
        self.events.clear();
        let url = format!("file://{}", page.display());
        self.ask(session, "Page.navigate", json!({"url": url}));
        self.wait_for("Page.loadEventFired");
        let document = self.ask(session, "DOM.getDocument", json!({}));
        let root = json!({"nodeId": document["root"]["nodeId"]});
        let dom = self.ask(session, "DOM.getOuterHTML", root);
        let metrics = self.ask(session, "Page.getLayoutMetrics", json!({}));
        let all = json!({"format": "png", "captureBeyondViewport": true});
        let picture = self.ask(session, "Page.captureScreenshot", all);
        let picture = picture["data"].as_str().expect("a picture");
        let picture = STANDARD.decode(picture).expect("a picture");
        if let Some(folder) = std::env::var_os("WHARF_PICTURES") {
            let name = format!("{}-{scheme}.png", window.width);
            std::fs::write(Path::new(&folder).join(name), &picture).expect("a folder");
        }
        let events = std::mem::take(&mut self.events);
        let named = |name: &'static str| events.iter().filter(move |it| it["method"] == name);
        let complaints = [
            "Log.entryAdded",
            "Runtime.consoleAPICalled",
            "Runtime.exceptionThrown",
        ];
        let requests = named("Network.requestWillBeSent");
        let seen = Seen {
            dom: dom["outerHTML"].as_str().expect("a page").to_owned(),
            complaints: complaints.into_iter().flat_map(named).cloned().collect(),
            requests: requests
                .map(|it| {
                    it["params"]["request"]["url"]
                        .as_str()
                        .unwrap_or_default()
                        .to_owned()
                })
                .collect(),
            width: metrics["cssContentSize"]["width"]
                .as_f64()
                .expect("a width"),
            picture: Picture::decode(&picture),
        };
        self.ask(
            None,
            "Target.closeTarget",
            json!({"targetId": target["targetId"]}),
        );
        seen
    }

    /// Asks for something, and waits for the answer.
    fn ask(&mut self, session: Option<&str>, method: &str, parameters: Json) -> Json {
        self.asked += 1;
        let mut request = json!({"id": self.asked, "method": method, "params": parameters});
        if let Some(session) = session {
            request["sessionId"] = session.into();
        }
        let sent = self.input.write_all(format!("{request}\0").as_bytes());
        sent.expect("the browser listens");
        loop {
            let message = self.next();
            if message["id"] == self.asked {
                assert!(message.get("error").is_none(), "{method}: {message}");
                return message["result"].clone();
            }
            self.events.push(message);
        }
    }

    fn wait_for(&mut self, event: &str) {
        while !self.events.iter().any(|it| it["method"] == event) {
            let message = self.next();
            self.events.push(message);
        }
    }

    fn next(&self) -> Json {
        self.output.recv_timeout(HANG).expect("the browser answers")
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program of the browser.
fn program() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let candidates = NAMES
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    let found = candidates.into_iter().find(|program| program.is_file());
    found.unwrap_or_else(|| panic!("no browser: install it with `cargo xtask browser`"))
}
