//! Results that are longer than the screen go through a pager: MILLPOND_PAGER, PAGER, or less.

use std::io::{self, Write};
use std::process::{Child, Command, Stdio};

/// Bytes that are kept to find out whether they fit on the screen.
const MAX_KEPT: usize = 4 * 1024 * 1024;
/// What less is told where nobody said anything: not to wrap lines, to end where all fits, to leave it on the screen.
const LESS: &str = "FRSX";

/// Writes to standard output as long as the screen has room, and through a pager what is more.
pub struct Paged {
    program: Option<String>,
    /// Lines of the screen, and characters of one.
    screen: (usize, usize),
    kept: Vec<u8>,
    pager: Option<Child>,
    plain: bool,
}

fn program() -> Option<String> {
    let set = ["MILLPOND_PAGER", "PAGER"].iter().find_map(|name| std::env::var(name).ok());
    let program = set.unwrap_or_else(|| "less".to_owned());
    (!program.trim().is_empty() && program.trim() != "cat").then_some(program)
}

impl Paged {
    /// For a screen of lines and columns; `None`: all of it as it is.
    pub fn new(screen: Option<(usize, usize)>) -> Self {
        let program = program().filter(|_| screen.is_some());
        Self { plain: program.is_none(), program, screen: screen.unwrap_or_default(), kept: Vec::new(), pager: None }
    }

    /// Whether what is kept is more than the screen has room for, with a line for the prompt and one for the figures.
    fn is_full(&self) -> bool {
        let (lines, width) = self.screen;
        let text = String::from_utf8_lossy(&self.kept);
        let wide = text.lines().any(|line| unicode_width::UnicodeWidthStr::width(line) > width);
        wide || text.lines().count() + 2 > lines || self.kept.len() > MAX_KEPT
    }

    fn open(&mut self) {
        let Some(program) = self.program.clone().filter(|_| self.pager.is_none()) else { return };
        let mut command = Command::new("sh");
        command.arg("-c").arg(&program).stdin(Stdio::piped());
        if std::env::var_os("LESS").is_none() {
            command.env("LESS", LESS);
        }
        match command.spawn() {
            Ok(child) => self.pager = Some(child),
            Err(_) => self.plain = true,
        }
    }

    fn send(&mut self) -> io::Result<()> {
        let kept = std::mem::take(&mut self.kept);
        match self.pager.as_mut().and_then(|pager| pager.stdin.as_mut()) {
            Some(stdin) => stdin.write_all(&kept),
            None => io::stdout().write_all(&kept),
        }
    }

    /// Shows what is kept, and waits for the pager.
    pub fn end(mut self) -> io::Result<()> {
        if self.pager.is_none() && !self.plain && self.is_full() {
            self.open();
        }
        let sent = match self.send() {
            // It was closed before it had read all.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            sent => sent,
        };
        match &mut self.pager {
            Some(pager) => {
                drop(pager.stdin.take());
                pager.wait().map(drop)?;
            }
            None => io::stdout().flush()?,
        }
        sent
    }
}

impl Write for Paged {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.kept.extend_from_slice(bytes);
        if self.plain || self.pager.is_some() {
            self.send()?;
        } else if self.kept.len() > MAX_KEPT {
            self.open();
            self.send()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
