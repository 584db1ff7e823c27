//! Makes TZif files (RFC 9636), right ones and wrong ones.

/// What is to stand in a file.
#[derive(Clone, Debug)]
pub(crate) struct Tzif {
    pub(crate) version: u8,
    /// When, and to which type.
    pub(crate) changes: Vec<(i64, u8)>,
    /// Seconds east, and whether it is summer time.
    pub(crate) types: Vec<(i32, bool)>,
    pub(crate) leaps: Vec<(i64, i32)>,
    /// `None`: the file ends before it, which is wrong since version 2.
    pub(crate) footer: Option<String>,
}

impl Tzif {
    /// A zone that goes from UTC+1 to UTC+2 and back, once, and has no footer.
    pub(crate) fn once(version: u8) -> Tzif {
        Tzif {
            version,
            changes: vec![(1_774_746_000, 1), (1_792_890_000, 0)],
            types: vec![(3600, false), (7200, true)],
            leaps: Vec::new(),
            footer: Some(String::new()),
        }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        if self.version < 2 {
            return self.block(4);
        }
        // Programs of before version 2 find a block with nothing in it.
        let empty = Tzif { changes: Vec::new(), types: vec![(0, false)], ..self.clone() };
        let mut bytes = Tzif { leaps: Vec::new(), ..empty }.block(4);
        bytes.extend(self.block(8));
        if let Some(footer) = &self.footer {
            bytes.extend(format!("\n{footer}\n").bytes());
        }
        bytes
    }

    fn block(&self, width: usize) -> Vec<u8> {
        let mut bytes = b"TZif".to_vec();
        bytes.push(if self.version < 2 { 0 } else { b'0' + self.version });
        bytes.extend([0; 15]);
        let counts = [0, 0, self.leaps.len(), self.changes.len(), self.types.len(), 4];
        bytes.extend(counts.iter().flat_map(|count| (*count as u32).to_be_bytes()));
        let moment = |bytes: &mut Vec<u8>, at: i64| match width {
            4 => bytes.extend((at as i32).to_be_bytes()),
            _ => bytes.extend(at.to_be_bytes()),
        };
        self.changes.iter().for_each(|(at, _)| moment(&mut bytes, *at));
        bytes.extend(self.changes.iter().map(|(_, kind)| *kind));
        for (offset, summer) in &self.types {
            bytes.extend(offset.to_be_bytes());
            bytes.extend([u8::from(*summer), 0]);
        }
        bytes.extend(b"XXT\0");
        for (at, correction) in &self.leaps {
            moment(&mut bytes, *at);
            bytes.extend(correction.to_be_bytes());
        }
        bytes
    }
}
