/// Names that nobody can guess.
enum Identifier {
    /// `length` lower-case letters and digits from the system's generator.
    static func random(_ length: Int) -> String {
        let alphabet = Array("abcdefghijklmnopqrstuvwxyz0123456789")
        return String((0..<length).map { _ in alphabet[Int.random(in: 0..<alphabet.count)] })
    }
}

/// Sizes for people.
enum ByteCount {
    /// `512 B`, `1.4 kB`, `23.0 MB`; decimal units.
    static func text(_ bytes: Int64) -> String {
        var value = Double(bytes)
        for unit in ["B", "kB", "MB", "GB"] {
            if value < 1_000 { return unit == "B" ? "\(bytes) B" : "\((value * 10).rounded() / 10) \(unit)" }
            value /= 1_000
        }
        return "\((value * 10).rounded() / 10) TB"
    }
}
