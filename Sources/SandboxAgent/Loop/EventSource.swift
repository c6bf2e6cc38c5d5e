/// A descriptor that the loop watches.
protocol EventSource: AnyObject {
    /// The descriptor; the same as long as the source is registered.
    var descriptor: Int32 { get }
    /// `POLLIN`, `POLLOUT` or both; 0 leaves the descriptor alone, which is how back-pressure is made.
    var interest: Int16 { get }
    /// Something is to be done; `events` are poll's.
    func ready(_ events: Int16)
}
