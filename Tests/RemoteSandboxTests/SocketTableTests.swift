import DeploymentCore
import Sandboxes
import Testing

@testable import RemoteSandbox

@Suite struct SocketTableTests {
    private static let text = """
          sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
           0: 0100007F:C34F 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0 100 0 0 10 0
           1: 0100007F:C34F 0100007F:1234 01 00000000:00000000 00:00000000 00000000  1000        0 4712 1 0 100 0 0 10 0
           2: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 99 1 0 100 0 0 10 0
           3: 00000000000000000000000001000000:0050 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 77 1 0
        nonsense 0A
        ==
        1 (init) S 0 1 1 0
        20 (sh (x) y) S 1 20 20 0
        21 (python) S 20 21 21 0
        30 (other) S 1 30 30 0
        ==
        /proc/21/fd:
        total 0
        lrwx------ 1 user user 64 Nov 21 10:00 3 -> socket:[4711]
        lrwx------ 1 user user 64 Nov 21 10:00 4 -> /dev/null
        /proc/30/fd:
        lrwx------ 1 root root 64 Nov 21 10:00 3 -> socket:[99]
        """

    @Test func listenersBelongToWhoStartedThem() {
        let listeners = SocketTable(Self.text).listeners(tags: [20: "app"])
        #expect(
            listeners == [
                Listener(address: "127.0.0.1", port: 49_999, pid: 21, tag: "app"),
                Listener(address: "0.0.0.0", port: 8_080, pid: 30, tag: nil),
                Listener(address: "::1", port: 80, pid: nil, tag: nil),
            ])
    }

    @Test func circleOfParentsEnds() {
        let text = """
            0: 0100007F:0050 00000000:0000 0A 0:0 0:0 0 0 0 5 1
            ==
            7 (a) S 8 7 7 0
            8 (b) S 7 8 8 0
            ==
            /proc/7/fd:
            l 3 -> socket:[5]
            """
        #expect(SocketTable(text).listeners(tags: [9: "app"]).map(\.tag) == [nil])
    }

    @Test func emptyWordsAreNoListeners() {
        #expect(SocketTable("").listeners(tags: [:]).isEmpty)
        #expect(SocketTable("==\n==\n").listeners(tags: [:]).isEmpty)
    }
}
