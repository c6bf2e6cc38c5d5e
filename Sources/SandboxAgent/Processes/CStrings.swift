import Glibc

/// Calls `body` with a null-terminated array of C strings.
func withCStrings<Result>(
    _ strings: [String], _ body: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> Result
) -> Result {
    var pointers: [UnsafeMutablePointer<CChar>?] = strings.map { strdup($0) }
    pointers.append(nil)
    defer { for pointer in pointers { free(pointer) } }
    return pointers.withUnsafeMutableBufferPointer { buffer in
        guard let base = buffer.baseAddress else { preconditionFailure("an array with an element has storage") }
        return body(base)
    }
}

/// The system's text for an errno, in lower case at the beginning as our messages are.
func errorText(_ number: Int32) -> String {
    guard let text = strerror(number).map({ String(cString: $0) }), let first = text.first else {
        return "error \(number)"
    }
    return first.lowercased() + text.dropFirst()
}
