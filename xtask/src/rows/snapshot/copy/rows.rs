//! The rows of a copy, table by table, as a file would give them: for where the schema is not the copy's any more.

use std::io::{self, BufRead, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crate::error::{Failure, Result};
use crate::postgres::connection::Connection;
use crate::rows::snapshot::contents::Source;
use crate::rows::snapshot::copy::sums::is_partitioned;
use crate::rows::snapshot::{Copy, Encoding, Rows, Table, copy_out};
use crate::session::Session;

/// The server sends a row at a time.
const AT_ONCE: usize = 1 << 16;
/// Pieces that are read ahead.
const AHEAD: usize = 16;

pub struct FromCopy<'a> {
    pub session: &'a Session<'a>,
    pub copy: &'a Copy,
    /// In which they are wanted.
    pub encoding: &'a Encoding,
}

impl Rows for FromCopy<'_> {
    fn of(&self, table: &Table) -> Result<Box<dyn BufRead + '_>> {
        let mut connection = self.session.connect_to(&self.copy.name)?;
        connection.limit_statements(self.session.settings.timeouts.snapshot)?;
        let source = Source {
            schema: table.schema.clone(),
            name: table.name.clone(),
            partitioned: is_partitioned(&mut connection, table)?,
            columns: table.columns.clone(),
            required: Vec::new(),
            bytes: 0,
            encoding: self.encoding.clone(),
        };
        let (sender, receiver) = sync_channel(AHEAD);
        std::thread::spawn(move || {
            let last = send(&mut connection, &source, &sender).map(|()| Vec::new());
            // Whoever has stopped listening has failed, and says why.
            let _ = sender.send(last.map_err(|failure| failure.message));
        });
        Ok(Box::new(Stream { receiver, piece: Vec::new(), at: 0, ended: false }))
    }
}

type Piece = std::result::Result<Vec<u8>, String>;

fn send(connection: &mut Connection, source: &Source, sender: &SyncSender<Piece>) -> Result<()> {
    let unheard = |_| Failure::failed("the rows are not wanted any more");
    let mut gathered = Vec::with_capacity(AT_ONCE);
    let limit = connection.statement_timeout();
    connection.read(|transaction| {
        crate::rows::snapshot::allow_time(transaction, limit)?;
        copy_out(transaction, source, &source.columns, |row| {
            gathered.extend_from_slice(row);
            if gathered.len() < AT_ONCE {
                return Ok(());
            }
            sender.send(Ok(std::mem::replace(&mut gathered, Vec::with_capacity(AT_ONCE)))).map_err(unheard)
        })
    })?;
    if gathered.is_empty() { Ok(()) } else { sender.send(Ok(gathered)).map_err(unheard) }
}

/// An empty piece is the end; nothing at all is none.
struct Stream {
    receiver: Receiver<Piece>,
    piece: Vec<u8>,
    at: usize,
    ended: bool,
}

impl BufRead for Stream {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.piece.len() && !self.ended {
            let piece = self.receiver.recv().map_err(|_| io::Error::other("the copy was not read to its end"))?;
            (self.piece, self.at) = (piece.map_err(io::Error::other)?, 0);
            self.ended = self.piece.is_empty();
        }
        Ok(&self.piece[self.at..])
    }

    fn consume(&mut self, amount: usize) {
        self.at += amount;
    }
}

impl Read for Stream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = self.fill_buf()?.read(into)?;
        self.consume(length);
        Ok(length)
    }
}
