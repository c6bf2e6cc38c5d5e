import DeploymentCore
import Testing

@Suite struct VisibleTextTests {
    @Test(arguments: ["\u{1B}[2J", "\u{9B}31m", "\u{7}", "\0", "\r", "\u{202E}exe", "\u{2066}x", "\u{2028}"])
    func whatATerminalObeysIsReplaced(hostile: String) {
        #expect(VisibleText.of("a\(hostile)b").unicodeScalars.contains("\u{FFFD}"))
        #expect(!VisibleText.of("a\(hostile)b").contains(hostile))
    }

    @Test func plainTextStaysAsItIs() {
        let text = "Traceback:\n\tüñí 日本 👩‍🔬"
        #expect(VisibleText.of(text) == text)
    }
}
