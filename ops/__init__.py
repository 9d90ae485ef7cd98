"""Operations: putting the platform together and running it."""
