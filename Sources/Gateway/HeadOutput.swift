/// Where a rewritten head is put together: a piece of memory with a checked end.
struct HeadOutput {
    private let memory: UnsafeMutableRawBufferPointer
    /// How many bytes are written.
    private(set) var count: Int

    /// Writes into `memory` from `start` on; what lies before is left for later.
    init(_ memory: UnsafeMutableRawBufferPointer, startingAt start: Int = 0) {
        precondition(start >= 0 && start <= memory.count)
        self.memory = memory
        count = start
    }

    /// Leaves `length` bytes for later.
    mutating func skip(_ length: Int) {
        precondition(length >= 0 && length <= memory.count - count)
        count += length
    }

    /// Appends the bytes of `input` in `range`.
    @inline(__always) mutating func append(_ input: Span<UInt8>, _ range: Range<Int>) {
        let start = count
        skip(range.count)
        guard !range.isEmpty else { return }
        let memory = memory
        input.extracting(range).withUnsafeBytes { bytes in
            UnsafeMutableRawBufferPointer(rebasing: memory[start...]).copyMemory(from: bytes)
        }
    }

    /// Appends `bytes`.
    mutating func append(_ bytes: [UInt8]) {
        let start = count
        skip(bytes.count)
        let memory = memory
        bytes.withUnsafeBytes { UnsafeMutableRawBufferPointer(rebasing: memory[start...]).copyMemory(from: $0) }
    }

    /// Appends `text`.
    mutating func append(_ text: StaticString) {
        let start = count
        skip(text.utf8CodeUnitCount)
        UnsafeMutableRawBufferPointer(rebasing: memory[start...]).copyMemory(
            from: UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    /// Takes out the field lines from `start` on whose name `isUnwanted`; every line ends with CRLF.
    mutating func removeLines(from start: Int, where isUnwanted: (UnsafeRawBufferPointer) -> Bool) {
        var source = start
        var target = start
        while source < count {
            var colon = source
            while colon < count, memory[colon] != 58 { colon += 1 }
            var end = colon
            while end < count, memory[end] != 10 { end += 1 }
            end = min(end + 1, count)
            if !isUnwanted(UnsafeRawBufferPointer(rebasing: memory[source..<colon])) {
                for index in source..<end {
                    memory[target] = memory[index]
                    target += 1
                }
            }
            source = end
        }
        count = target
    }
}
