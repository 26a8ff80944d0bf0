"""What a request may have that not every format can carry, and whether losing it changes what the request means.

The settings name these, the formats declare which of them they carry, and docs/losses.md lists them all.
"""

from enum import Enum


class Feature(Enum):
    """Something that a format may not be able to carry: its name, whether losing it changes meaning, and in words."""

    # messages
    LATE_SYSTEM = "late_system", False, "a system message after the first turn keeps its place as such"
    MESSAGE_NAME = "message_name", False, "the name of a participant"
    PREFILL = "prefill", True, "a last message of the assistant that the answer continues"
    IMAGES = "images", True, "pictures"
    LINKED_IMAGES = "linked_images", True, "pictures given by their address"
    IMAGE_DETAIL = "image_detail", False, "how closely a picture is to be looked at"
    DOCUMENTS = "documents", True, "documents such as PDF"
    LINKED_DOCUMENTS = "linked_documents", True, "documents given by their address"
    DOCUMENT_CONTEXT = "document_context", False, "what is said about a document beside it"
    AUDIO = "audio", True, "sound to hear"
    LINKED_AUDIO = "linked_audio", True, "sound given by its address"
    VIDEO = "video", True, "films to look at"
    FILES = "files", True, "files that were uploaded to another provider"
    DOCUMENT_NAME = "document_name", False, "the name of a document"
    CITED = "cited", False, "documents that are to be cited"
    FOREIGN_PARTS = "foreign_parts", True, "parts of messages that only one format knows"
    CITATIONS_HISTORY = "citations_history", False, "what the texts of earlier turns cited"
    FOREIGN_HISTORY = "foreign_history", False, "what a provider's own tools did in earlier turns"
    CACHE_MARKS = "cache_marks", False, "marks of what is to stay in the provider's prompt cache"
    # thinking
    REASONING = "reasoning", False, "how much the model is to think"
    REASONING_BUDGET = "reasoning_budget", False, "a budget of thinking in tokens, rather than an effort"
    THINKING_HISTORY = "thinking_history", False, "what was thought in earlier turns"
    # tools
    TOOLS = "tools", True, "tools that the client runs"
    STRICT_TOOLS = "strict_tools", False, "arguments that are held to their schema strictly"
    CUSTOM_TOOLS = "custom_tools", False, "tools that take text; elsewhere they take an object with that text"
    TOOL_GRAMMAR = "tool_grammar", False, "the grammar of a tool's text"
    TOOL_NAMESPACES = "tool_namespaces", False, "tools in namespaces; elsewhere the namespace is part of the name"
    SERVER_TOOLS = "server_tools", False, "tools that the provider runs"
    TOOL_CHOICE = "tool_choice", True, "that a tool must be called"
    ALLOWED_TOOLS = "allowed_tools", True, "which of the tools may be called"
    PARALLEL_TOOL_CALLS = "parallel_tool_calls", False, "whether several tools may be called at once"
    TOOL_ERRORS = "tool_errors", False, "that a tool's result is an error; elsewhere its text says so"
    TOOL_IMAGES = "tool_images", False, "pictures in a tool's result; elsewhere they follow in a message of the user"
    # the answer that is wanted
    JSON_OBJECT = "json_object", True, "an answer that is any JSON object"
    JSON_SCHEMA = "json_schema", True, "an answer of a JSON schema"
    SCHEMA_NAME = "schema_name", False, "the name and the description of an answer's schema"
    STRICT_SCHEMA = "strict_schema", False, "whether an answer is held to its schema strictly"
    SEVERAL = "several", True, "several answers at once (n)"
    LOGPROBS = "logprobs", True, "log probabilities"
    STOP = "stop", True, "stop sequences"
    MANY_STOPS = "many_stops", True, "more than four stop sequences"
    SUFFIX = "suffix", True, "a text that follows the answer"
    ECHO = "echo", True, "the prompt repeated before the answer"
    RAW_PROMPT = "raw_prompt", False, "a text to be continued; elsewhere it is a message of the user"
    VERBOSITY = "verbosity", False, "how wordy the answer is to be"
    MAX_OUTPUT_TOKENS = "max_output_tokens", True, "the longest answer"
    # sampling
    TEMPERATURE = "temperature", False, "the temperature"
    HIGH_TEMPERATURE = "high_temperature", False, "a temperature above 1; elsewhere 1 is the highest"
    TOP_P = "top_p", False, "nucleus sampling"
    TOP_K = "top_k", False, "sampling among the likeliest k"
    PENALTIES = "penalties", False, "penalties for what was said before"
    SEED = "seed", False, "a seed"
    LOGIT_BIAS = "logit_bias", False, "a bias for some tokens"
    # what goes with it
    SERVICE_TIER = "service_tier", False, "the tier of service"
    USER = "user", False, "the user's name"
    METADATA = "metadata", False, "metadata to be kept with the answer"
    PROMPT_CACHE_KEY = "prompt_cache_key", False, "a key for the provider's prompt cache"
    STORE = "store", False, "whether the provider keeps the answer"
    SERVER_STATE = "server_state", True, "turns that the provider keeps"
    CONTEXT_TOKENS = "context_tokens", False, "the size of the context to make room for"
    UNKNOWN_FIELDS = "unknown_fields", False, "members that only one format knows"
    # embeddings
    TOKEN_INPUT = "token_input", True, "a text to embed as numbers of tokens"
    TASK_TYPE = "task_type", False, "what a vector is for"
    TITLE = "title", False, "the title of the document that a text to embed is from"
    TRUNCATE = "truncate", False, "whether a text to embed may be cut where it is too long"

    def __init__(self, label: str, changes_meaning: bool, words: str) -> None:  # noqa: FBT001 - an enum's value has no names
        self.label = label
        self.changes_meaning = changes_meaning
        self.words = words
