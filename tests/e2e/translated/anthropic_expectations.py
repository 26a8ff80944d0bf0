"""What recorded answers of Anthropic say, counted by hand from the recordings: the translator must find just that.

Each line: the end of a recording's name, why it finished (and at which stop sequence), and its parts, one by one. A
part is its kind, then: the characters of a text, or of a thought and of its signature; the name of a tool and the
members of its arguments; the kind of a block that only Anthropic knows. `+2` are citations.
"""

ANSWERS: dict[str, tuple[str, ...]] = {
    # streams
    "tools-streaming-legacy-7281b": (
        *("tool_calls", "text 175", "tool_call get_weather location,unit", "tool_call get_time timezone"),
    ),
    "completion-stream-edc82": ("length", "text 60"),
    "streams-citations-30158": ("stop", "text 72 +1"),
    "can-use-tools-witho-00-0e783": ("tool_calls", "tool_call best_language_to_learn "),
    "streams-search-turns-00-14fe7": (
        *("stop", "foreign server_tool_use", "foreign web_search_tool_result"),
        *("text 39 +1", "text 8", "text 25 +1", "text 1"),
    ),
    "genstream-jsonschema-a14ff": ("stop", "text 17"),
    "genstream-stop-9baca": ("stop is",),
    "fetch-panel-00-1d9e4": (
        *("stop", "text 29", "foreign server_tool_use", "foreign web_fetch_tool_result", "text 115"),
    ),
    "variations-parallel-00-bdd54": (
        *("tool_calls", "tool_call favorite_color _person", "tool_call favorite_color _person"),
    ),
    "display-regression-00-bd3e3": ("tool_calls", "thinking 180 524", "tool_call fixed_version "),
    "computer-use-streaming-00-e9884": ("tool_calls", "tool_call computer action"),
    "genstream-stop-b3691": ("stop is", "text 7"),
    "genstream-tools-squareroot-1-99bbc": ("tool_calls", "tool_call square_root number"),
    "citations-text-plain-06589": (
        *("stop", "thinking 70 352", "text 29", "text 5 +1", "text 2", "text 47 +1", "text 0"),
    ),
    "thinking-genstream-maxtokens-f021d": ("length", "thinking 121 392"),
    "genstream-tools-websearch-6574a": (
        *("stop", "foreign server_tool_use", "foreign web_search_tool_result", "text 11 +1"),
    ),
    "completion-stream-thinking-44772": ("stop", "thinking 41 10", "text 49"),
    "multi-tool-streaming-00-a86a8": ("tool_calls", "text 50", "tool_call add a,b", "tool_call multiply a,b"),
    "thinking-streaming-00-93558": ("tool_calls", "thinking 301 636", "tool_call weather location"),
    "mcp-servers-stream-1f4d6": (
        *("stop", "thinking 192 492", "foreign mcp_tool_use", "foreign mcp_tool_result", "text 806"),
    ),
    "text-editor-code-execution-tool-stream-ba6a7": (
        *("stop", "text 92", "foreign server_tool_use", "foreign server_tool_use"),
        *("foreign text_editor_code_execution_tool_result", "foreign text_editor_code_execution_tool_result"),
        *("text 190", "foreign server_tool_use", "foreign text_editor_code_execution_tool_result", "text 260"),
    ),
    "tools-toolbias-usa-68738": ("tool_calls", "thinking 275 684", "text 253", "tool_call best_country country"),
    "genstream-tools-webfetch-48201": (
        *("stop", "thinking 127 424", "foreign server_tool_use", "foreign web_fetch_tool_result", "text 631"),
    ),
    # whole answers
    "claude-2.1-test-anthropic-c911e": ("stop", "text 63"),
    "text-block-and-history-24a39": ("tool_calls", "text 34", "tool_call get_news location"),
    "anthropic-completion-d9b5c": ("length", "text 53"),
    "runs-code-server-s-430a7": (
        *("stop", "foreign server_tool_use", "foreign bash_code_execution_tool_result", "text 69"),
    ),
    "gensync-tools-squareroot-1-a5f53": ("tool_calls", "tool_call square_root number"),
    "computer-use-00-65b98": ("tool_calls", "tool_call computer action"),
    "gensync-maxtokens-54f80": ("length", "thinking 75 392"),
    "receive-history-from-another-provider-00-d1261": (
        *("stop", "text 61", "foreign server_tool_use", "foreign code_execution_tool_result", "text 17"),
    ),
    "anthropic-completion-thinking-5f6c0": ("stop", "thinking 53 10", "text 50"),
    "multi-tool-00-588dd": ("tool_calls", "text 50", "tool_call add a,b", "tool_call multiply a,b"),
    "thinking-part-redacted-00-dee94": ("stop", "redacted 0 1020", "text 341"),
    "mixed-tools-native-output-00-5db13": (
        *("tool_calls", "tool_call lookup_country city", "tool_call get_founded_year city"),
    ),
    "stop-settings-anthropic-e7568": ("stop Paris", "text 22"),
    "parallel-native-tool-calling-tes-00-66a53": (
        *("tool_calls", "text 62", "tool_call parallel_local_search_one query"),
        *("tool_call parallel_local_search_two query", "tool_call parallel_local_search_three query"),
    ),
    "agent-stop-sequences-7d08e": ("stop }", "text 149"),
    "messages-sonnet-5-01-0af44": (
        *("stop", "foreign server_tool_use", "foreign bash_code_execution_tool_result", "thinking 0 408"),
        *("foreign server_tool_use", "foreign bash_code_execution_tool_result", "text 207"),
    ),
}

REQUESTS: dict[str, tuple[str, ...]] = {
    # Each message's role and the kinds of its parts, then what is asked for beside.
    "tool-result-stream-helper-ea932": ("user text", "assistant text tool_call", "tool tool_result", "tools 1"),
    "variations-parallel-01-bafa8": (
        *("system text", "user text", "assistant tool_call tool_call", "tool tool_result tool_result", "tools 1"),
    ),
    "display-regression-01-0d80a": (
        *("user text", "assistant thinking tool_call", "tool tool_result", "tools 1", "budget 1024"),
    ),
    "mcp-servers-stream-1f4d6": ("user text", "budget 3000", "extra mcp_servers"),
    "capability-load-and-recovery-01-c96f1": (
        *("system text", "user text", "assistant tool_call", "tool tool_result", "system foreign", "tools 2"),
        *("choice auto", "extra tools[1].defer_loading"),
    ),
    "thinking-part-redacted-01-fb110": ("user text", "assistant thinking text", "user text", "budget 1024"),
    "genstream-citations-text-markdown-61575": ("system text", "user document text", "adaptive"),
    "automatic-sonnet-4-6-01-e403e": ("system text", "user text foreign", "server_tools 1"),
    "gensync-jsonschema-ee695": ("user text", "off", "shape"),
    "search-panel-01-52ffc": (
        *("system text", "user text", "assistant foreign foreign text text", "user text", "server_tools 1"),
    ),
    "thinking-streaming-00-93558": ("system text", "user text", "tools 1", "choice auto", "parallel", "budget 4000"),
    "strict-true-tool-native-output-00-7d78d": ("user text", "tools 1", "strict", "choice auto", "shape"),
}
