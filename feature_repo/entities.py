"""Who features belong to: a reader and an article, by the ids of the event schema."""

from feast import Entity, ValueType

READER = Entity(name="reader", join_keys=["user_id"], value_type=ValueType.STRING)
ARTICLE = Entity(name="article", join_keys=["article_id"], value_type=ValueType.STRING)
