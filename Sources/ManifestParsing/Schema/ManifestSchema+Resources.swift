import DeploymentCore

extension ManifestSchema {
    static let resourceKeys: [Key] = [
        Key("cpu", .scalar(.cores), "Cores, as a rate: 2, 0.5; libraries start as many threads"),
        Key("memory", .scalar(.size(memoryRange)), "Memory of all processes together; the app is killed beyond it"),
        Key("disk", .scalar(.size(diskRange)), "What the app may write to its home folder"),
        Key("processes", .integer(processRange), "Processes and threads at once"),
        Key("open_files", .integer(openFileRange), "Open files of each process"),
    ]

    static let cpuRange = 0.05...1024.0
    static let memoryRange: ClosedRange<Int64> = (16 << 20)...(64 << 40)
    static let diskRange: ClosedRange<Int64> = (1 << 20)...(64 << 40)
    static let processRange = 16...1_000_000
    static let openFileRange = 64...1_000_000
}

extension TextRule {
    /// A number of cores.
    static let cores = TextRule("a number of cores such as 2 or 0.5", pattern: #"^[0-9]{1,4}(\.[0-9]{1,3})?$"#) {
        text in
        let isPlain = text.utf8.allSatisfy { $0.isDigit || $0 == UInt8(ascii: ".") }
        if isPlain, let number = Double(text), ManifestSchema.cpuRange.contains(number) { return nil }
        let thousandths = text.hasSuffix("m") ? Int(text.dropLast()) : nil
        let repaired = thousandths.map { Double($0) / 1000 }.flatMap { ManifestSchema.cpuRange.contains($0) ? $0 : nil }
        return Fault("must be a number of cores from 0.05 to 1024", repaired.map { "write \($0)" })
    }

    /// A size within a range.
    static func size(_ range: ClosedRange<Int64>) -> TextRule {
        TextRule("a size such as 512Mi or 2Gi", pattern: SizeText.pattern) { text in
            guard let bytes = SizeText.parse(text) else {
                return Fault(
                    "must be a size such as 512Mi or 2Gi, not \(quoted(text))",
                    SizeText.repaired(text).map { "write \(quoted($0))" })
            }
            return range.contains(bytes) ? nil : Fault("must be from \(range.lowerBound >> 20)Mi to 64Ti")
        }
    }
}
