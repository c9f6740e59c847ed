-- The demonstration agents of a new local installation. Runs again when its first run was cut off,
-- so what is there already stays.
INSERT INTO agents
  (id, name, description, examples, endpoint, system_prompt, model, enabled, is_default, created_at, updated_at, demonstration)
VALUES
  (
    'it_support', 'IT Support',
    'Computers, accounts and access: passwords, VPN, Wi-Fi, e-mail, software, hardware, security alerts.',
    '["My VPN does not connect","I forgot my password and my account is locked","Please install Docker on my laptop","The printer on the third floor prints blank pages","I got a suspicious e-mail with an attachment"]',
    NULL, NULL, NULL, 1, 0, unixepoch() * 1000, unixepoch() * 1000, 1
  ),
  (
    'hr', 'Human Resources',
    'Employment matters: holidays and leave, sick days, benefits, recruiting, onboarding, reviews.',
    '["How many vacation days do I have left?","I want to apply for parental leave","Who do I tell that I am sick today?","When is my next performance review?","How do I refer a friend for an open position?"]',
    NULL, NULL, NULL, 1, 0, unixepoch() * 1000, unixepoch() * 1000, 1
  ),
  (
    'finance', 'Finance',
    'Money: salary payments, expenses and reimbursement, invoices, budgets, purchase orders, taxes.',
    '["How do I get my travel expenses reimbursed?","The invoice from our supplier is overdue","My salary was not paid this month","What budget is left for marketing this quarter?","I need a purchase order for new monitors"]',
    NULL, NULL, NULL, 1, 0, unixepoch() * 1000, unixepoch() * 1000, 1
  ),
  (
    'legal', 'Legal',
    'Contracts and compliance: agreements, NDAs, privacy and data protection, licences, trademarks, disputes.',
    '["Can you review this NDA before I sign it?","Does this feature comply with the GDPR?","Are we allowed to use this open source licence?","A customer threatens to sue us","Who may sign a contract with a new vendor?"]',
    NULL, NULL, NULL, 1, 0, unixepoch() * 1000, unixepoch() * 1000, 1
  ),
  (
    'facilities', 'Facilities',
    'Buildings and workplaces: desks, meeting rooms, keys and badges, heating, cleaning, parking, repairs.',
    '["The air conditioning in our office is broken","Book a meeting room for ten people tomorrow","My badge does not open the front door","Where can I park my bicycle?","The kitchen sink on our floor is leaking"]',
    NULL, NULL, NULL, 1, 0, unixepoch() * 1000, unixepoch() * 1000, 1
  ),
  (
    'general', 'General Assistant',
    'Anything that no other agent covers: greetings, small talk, general knowledge, unclear requests.',
    '["Hello, who are you?","What is the capital of Australia?","Tell me a joke","Summarise this text for me","Can you help me with something?"]',
    NULL, NULL, NULL, 1, 1, unixepoch() * 1000, unixepoch() * 1000, 1
  )
ON CONFLICT DO NOTHING;
