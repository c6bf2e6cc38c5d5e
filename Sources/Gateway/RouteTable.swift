/// Finds a value by the bytes of a path segment without making a string.
struct RouteTable<Value> {
    private struct Entry {
        let hash: UInt64
        let name: [UInt8]
        var value: Value
    }

    /// A power of two, at least twice the entries, so that a probe always ends.
    private var slots: [Entry?] = Array(repeating: nil, count: 16)
    private var count = 0

    /// All values, in no order.
    var values: [Value] { slots.compactMap { $0?.value } }

    /// The value for the bytes of `name`.
    @inline(__always) func find(_ name: UnsafeRawBufferPointer) -> Value? {
        var slot = Int(truncatingIfNeeded: Self.hash(name)) & (slots.count - 1)
        while let entry = slots[slot] {
            if entry.name.count == name.count, entry.name.elementsEqual(name) { return entry.value }
            slot = (slot + 1) & (slots.count - 1)
        }
        return nil
    }

    /// Adds a value or replaces the one of the same name.
    mutating func insert(_ value: Value, for name: [UInt8]) {
        if (count + 1) * 2 > slots.count { grow() }
        let hash = name.withUnsafeBytes(Self.hash)
        place(Entry(hash: hash, name: name, value: value))
    }

    private mutating func place(_ entry: Entry) {
        var slot = Int(truncatingIfNeeded: entry.hash) & (slots.count - 1)
        while let other = slots[slot] {
            if other.name == entry.name {
                slots[slot] = entry
                return
            }
            slot = (slot + 1) & (slots.count - 1)
        }
        slots[slot] = entry
        count += 1
    }

    /// Removes a name; the table is made anew, which is rare and keeps probing simple.
    mutating func remove(_ name: [UInt8]) {
        let entries = slots.compactMap { $0 }.filter { $0.name != name }
        slots = Array(repeating: nil, count: slots.count)
        count = 0
        for entry in entries { place(entry) }
    }

    private mutating func grow() {
        let entries = slots.compactMap { $0 }
        slots = Array(repeating: nil, count: slots.count * 2)
        count = 0
        for entry in entries { place(entry) }
    }

    /// FNV-1a.
    private static func hash(_ name: UnsafeRawBufferPointer) -> UInt64 {
        var result: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in name { result = (result ^ UInt64(byte)) &* 0x100_0000_01b3 }
        return result
    }
}
