import Glibc

/// The system's text for an errno, in lower case at the beginning as our messages are.
func errorText(_ number: Int32) -> String {
    guard let text = strerror(number).map({ String(cString: $0) }), let first = text.first else {
        return "error \(number)"
    }
    return first.lowercased() + text.dropFirst()
}
