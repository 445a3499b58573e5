//! A small PDF of one page: lines of text in a font that every reader has.

/// Most lines on the page.
const LINES_MAX: usize = 60;
/// Most characters of a line: what fits beside the margins.
const CHARS_MAX: usize = 90;

/// A document of these lines; the first is its title.
pub(super) fn document(lines: &[String]) -> Vec<u8> {
    let mut content = String::from("BT\n/F1 18 Tf\n50 780 Td\n22 TL\n");
    for (at, line) in lines.iter().take(LINES_MAX).enumerate() {
        if at == 1 {
            content.push_str("/F1 10 Tf\n12 TL\n");
        }
        let cut: String = line.chars().take(CHARS_MAX).collect();
        content.push_str(&format!("({}) Tj\nT*\n", escaped(&cut)));
    }
    content.push_str("ET\n");
    let objects = [
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>".to_owned(),
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 5 0 R /Resources << /Font << /F1 4 0 R >> >> >>"
            .to_owned(),
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>".to_owned(),
        format!("<< /Length {} >>\nstream\n{content}endstream", content.len()),
    ];
    let mut text = String::from("%PDF-1.4\n");
    let mut places = Vec::new();
    for (at, object) in objects.iter().enumerate() {
        places.push(text.len());
        text.push_str(&format!("{} 0 obj\n{object}\nendobj\n", at + 1));
    }
    let table = text.len();
    text.push_str(&format!("xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1));
    for place in places {
        text.push_str(&format!("{place:010} 00000 n \n"));
    }
    let size = objects.len() + 1;
    text.push_str(&format!(
        "trailer\n<< /Size {size} /Root 1 0 R >>\nstartxref\n{table}\n%%EOF\n"
    ));
    text.into_bytes()
}

/// Inside a text of a PDF; characters beyond Latin 1 have no place in its font.
fn escaped(text: &str) -> String {
    let mut safe = String::new();
    for c in text.chars() {
        match c {
            '(' | ')' | '\\' => {
                safe.push('\\');
                safe.push(c);
            }
            ' '..='~' => safe.push(c),
            '\u{a0}'..='\u{ff}' => safe.push_str(&format!("\\{:03o}", u32::from(c))),
            _ => safe.push('?'),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_object_is_where_the_table_says() {
        let lines = ["Invoice (1)\\".to_owned(), "M\u{fc}nchen \u{1f600}".to_owned()];
        let bytes = document(&lines);
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.contains("(Invoice \\(1\\)\\\\) Tj") && text.contains("(M\\374nchen ?) Tj"));
        let table: usize = text
            .rsplit("startxref\n")
            .next()
            .unwrap()
            .lines()
            .next()
            .unwrap()
            .parse()
            .unwrap();
        assert!(text[table..].starts_with("xref\n0 6\n"));
        for (at, line) in text[table..].lines().skip(3).take(5).enumerate() {
            let place: usize = line[..10].parse().unwrap();
            assert!(text[place..].starts_with(&format!("{} 0 obj", at + 1)));
        }
    }
}
