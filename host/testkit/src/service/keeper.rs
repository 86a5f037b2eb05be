//! The shell beside a server: it starts and stops the server at a word, and when this process is gone,
//! however it ended, it ends the server and takes its folder away.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};

/// The script for a server: `$1` is the folder; what follows starts the server. Words on the input say what
/// to do; its end is the end of the one who asked. A server that stands still takes the signal when it is
/// let go on.
pub(crate) const SERVER: &str = r#"
folder=$1; shift; pid=
while read -r word; do
    case $word in
        start) "$@" >>"$folder/log" 2>&1 </dev/null & pid=$! ;;
        stop) kill -TERM $pid; wait $pid 2>/dev/null; pid= ;;
        kill) kill -KILL $pid; wait $pid 2>/dev/null; pid= ;;
        freeze) kill -STOP $pid ;;
        thaw) kill -CONT $pid ;;
    esac
    echo
done
[ -z "$pid" ] || { kill -KILL $pid; wait $pid; } 2>/dev/null
rm -rf "$folder"
"#;

/// A shell that listens to words.
#[derive(Debug)]
pub(crate) struct Keeper(Mutex<Running>);

#[derive(Debug)]
struct Running {
    child: Child,
    words: Option<ChildStdin>,
    done: BufReader<ChildStdout>,
}

impl Keeper {
    /// Starts a script whose first argument is the folder and whose further ones start the server. It
    /// answers each word with a line, and the end of its input is the end of the one who asked.
    pub(crate) fn start(script: &str, folder: &Path, server: &Command) -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", script, "keeper"]).arg(folder);
        shell.arg(server.get_program()).args(server.get_args()).current_dir("/");
        // A group of its own: Ctrl-C at the terminal is for the one who asked, whose end is enough.
        shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0);
        let mut child = shell.spawn().expect("a shell");
        let words = child.stdin.take();
        let done = BufReader::new(child.stdout.take().expect("the shell's output is piped"));
        Self(Mutex::new(Running { child, words, done }))
    }

    /// Says a word and waits until it is done.
    pub(crate) fn tell(&self, word: &str) {
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let words = running.words.as_mut().expect("the keeper listens until this is dropped");
        writeln!(words, "{word}").expect("the keeper listens");
        let mut line = String::new();
        running.done.read_line(&mut line).expect("the keeper answers");
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        let running = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        running.words = None;
        drop(running.child.wait());
    }
}
