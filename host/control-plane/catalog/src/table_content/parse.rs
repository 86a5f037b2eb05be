//! From CSV as people write it to checked content.

use csv::{ByteRecord, Reader, ReaderBuilder};

use super::{LineProblem, MAX_COLUMNS, MAX_PROBLEMS, TableContent, TableError};

/// The rows in the file's order, and where each stood.
struct Rows {
    content: TableContent,
    lines: Vec<u64>,
}

pub(super) fn parse(
    csv: &[u8],
    key: Option<&str>,
    max_rows: u64,
) -> Result<TableContent, TableError> {
    let text = std::str::from_utf8(csv).map_err(|error| {
        let before = csv.get(..error.valid_up_to()).unwrap_or_default();
        one(line_after(before), "the text is not UTF-8")
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader =
        ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
    let columns = read_header(&mut reader)?;
    let key = match key {
        None => 0,
        Some(name) => columns.iter().position(|column| column == name).ok_or_else(|| {
            one(1, format!("no column is called `{name}`; the columns are {}", columns.join(", ")))
        })?,
    };
    let rows = read_rows(&mut reader, columns, key, max_rows)?;
    // Every quoted field has two marks, and one inside is doubled: an odd number is a field that
    // never ended and has swallowed the lines after it.
    if text.bytes().filter(|b| *b == b'"').count() % 2 == 1 {
        let line = rows.lines.last().copied().unwrap_or(1);
        return Err(one(line, "a quotation mark is not closed"));
    }
    sort_by_key(&rows, key)
}

fn one(line: u64, detail: impl Into<String>) -> TableError {
    TableError { problems: vec![LineProblem { line, detail: detail.into() }] }
}

fn line_after(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|b| **b == b'\n').count() as u64 + 1
}

fn read_header(reader: &mut Reader<&[u8]>) -> Result<Vec<String>, TableError> {
    let mut record = ByteRecord::new();
    let found = reader.read_byte_record(&mut record).map_err(|e| one(1, e.to_string()))?;
    if !found {
        return Err(one(1, "there is no header row with the names of the columns"));
    }
    if record.len() > MAX_COLUMNS {
        return Err(one(1, format!("a table has at most {MAX_COLUMNS} columns")));
    }
    let mut problems = Vec::new();
    let mut columns: Vec<String> = Vec::with_capacity(record.len());
    for (index, field) in record.iter().enumerate() {
        let name = String::from_utf8_lossy(field).into_owned();
        let odd = |c: char| c.is_control() || c == '\u{feff}';
        if name.is_empty() || name.len() > 200 || name.chars().any(odd) {
            let detail = "must have a name of 1 to 200 bytes without control characters";
            problems.push(format!("column {} {detail}", index + 1));
        } else if columns.contains(&name) {
            problems.push(format!("two columns are called `{name}`"));
        }
        columns.push(name);
    }
    if problems.is_empty() { Ok(columns) } else { Err(one(1, problems.join("; "))) }
}

fn read_rows(
    reader: &mut Reader<&[u8]>,
    columns: Vec<String>,
    key: usize,
    max_rows: u64,
) -> Result<Rows, TableError> {
    let width = columns.len();
    let content = TableContent { columns, text: String::new(), ends: Vec::new() };
    let mut rows = Rows { content, lines: Vec::new() };
    let mut problems = Vec::new();
    let mut record = ByteRecord::new();
    while reader.read_byte_record(&mut record).map_err(|e| one(1, e.to_string()))? {
        let line = record.position().map_or(0, csv::Position::line);
        if rows.lines.len() as u64 >= max_rows {
            problems.push(LineProblem { line, detail: format!("more than {max_rows} rows") });
            break;
        }
        if record.len() != width {
            let detail = format!("{} fields where the header has {width}", record.len());
            problems.push(LineProblem { line, detail });
        } else if record.get(key).is_none_or(<[u8]>::is_empty) {
            problems.push(LineProblem { line, detail: "the key is empty".to_owned() });
        } else {
            rows.push(&record, line)?;
        }
        if problems.len() >= MAX_PROBLEMS {
            break;
        }
    }
    if problems.is_empty() { Ok(rows) } else { Err(TableError { problems }) }
}

impl Rows {
    fn push(&mut self, record: &ByteRecord, line: u64) -> Result<(), TableError> {
        for field in record {
            let cell =
                std::str::from_utf8(field).map_err(|_| one(line, "the text is not UTF-8"))?;
            self.content.text.push_str(cell);
            let end = u32::try_from(self.content.text.len());
            self.content.ends.push(end.map_err(|_| one(line, "the table has more than 4 GiB"))?);
        }
        self.lines.push(line);
        Ok(())
    }
}

/// Puts the key first and the rows in the order of their keys; tells every key that comes twice.
fn sort_by_key(rows: &Rows, key: usize) -> Result<TableContent, TableError> {
    let from = &rows.content;
    let mut order: Vec<(&str, u64, usize)> = Vec::with_capacity(rows.lines.len());
    for (row, line) in rows.lines.iter().enumerate() {
        order.push((from.cell(row, key).unwrap_or_default(), *line, row));
    }
    order.sort_unstable();
    let mut problems = repeated_keys(&order);
    if !problems.is_empty() {
        problems.sort_by_key(|problem| problem.line);
        problems.truncate(MAX_PROBLEMS);
        return Err(TableError { problems });
    }
    let others = (0..from.columns.len()).filter(|column| *column != key);
    let places: Vec<usize> = std::iter::once(key).chain(others).collect();
    let columns = places.iter().filter_map(|place| from.columns.get(*place).cloned()).collect();
    let mut text = String::with_capacity(from.text.len());
    let mut ends = Vec::with_capacity(from.ends.len());
    for (_, _, row) in order {
        for place in &places {
            text.push_str(from.cell(row, *place).unwrap_or_default());
            // The same cells in another order: their sum still fits.
            ends.push(text.len() as u32);
        }
    }
    Ok(TableContent { columns, text, ends })
}

/// `order` is sorted by key, then by line.
fn repeated_keys(order: &[(&str, u64, usize)]) -> Vec<LineProblem> {
    let mut problems = Vec::new();
    let mut first: Option<(&str, u64)> = None;
    for (key, line, _) in order {
        match first {
            Some((same, first_line)) if same == *key => {
                let shown: String = key.chars().take(80).collect();
                let detail = format!("the key `{shown}` stands on line {first_line} already");
                problems.push(LineProblem { line: *line, detail });
            }
            _ => first = Some((key, *line)),
        }
    }
    problems
}
